"""Which models the matrix holds."""

import functools

import torch

from tests.support.sb3_models import CNN, COMBINED, DISTINCT, SMALL, Case, activations

ON = ("A2C", "PPO", "TRPO", "MaskablePPO")
POLICY_OF = {
    "image": ("CnnPolicy", CNN),
    "stack": ("CnnPolicy", CNN),
    "dict": ("MultiInputPolicy", COMBINED),
    "vectors": ("MultiInputPolicy", SMALL),
    "floats": ("CnnPolicy", CNN),
    "float scene": ("MultiInputPolicy", COMBINED),
    "scene": ("MultiInputPolicy", COMBINED),
    "stacks": ("MultiInputPolicy", COMBINED),
}


def case(algorithm, observation, action, note="", policy_kwargs=None, model_kwargs=None, policy=None):
    usual, kwargs = POLICY_OF.get(observation, ("MlpPolicy", SMALL))
    kwargs = kwargs if policy_kwargs is None else {**kwargs, **policy_kwargs}
    return Case(algorithm, policy or usual, observation, action, kwargs, model_kwargs or {}, note)


OBSERVED = (
    "box",
    "matrix",
    "float64",
    "integers",
    "discrete",
    "multidiscrete",
    "multibinary",
    "image",
    "stack",
    "dict",
)
SDE = {"use_sde": True}


def on_policy() -> list[Case]:
    cases = [case("A2C", observation, "discrete") for observation in OBSERVED]
    cases += [case("PPO", "box", action) for action in ("continuous", "matrix", "multidiscrete", "multibinary")]
    cases += [case("PPO", observation, "continuous") for observation in ("image", "dict", "vectors", "stacks")]
    cases += [case("TRPO", observation, "continuous") for observation in ("box", "image", "dict")]
    cases += [case("MaskablePPO", o, "discrete") for o in ("box", "image", "dict")]
    for name, kwargs in {
        "default": None,
        "linear": {"net_arch": []},
        "distinct": DISTINCT,
        "relu": {"activation_fn": torch.nn.ReLU},
        "own extractors": {"share_features_extractor": False},
        "sde": None,
    }.items():
        cases.append(case("PPO", "box", "continuous", name, kwargs, SDE if name == "sde" else None))
    for name, kwargs in {
        "squash": {"squash_output": True},
        "expln": {"use_expln": True, "full_std": False},
        "linear": {"net_arch": []},
    }.items():
        cases.append(case("A2C", "box", "continuous", f"sde, {name}", kwargs, SDE))
    cases.append(case("A2C", "dict", "continuous", "sde, linear", {"net_arch": []}, SDE))
    cases.append(case("PPO", "image", "discrete", "own extractors", {"share_features_extractor": False}))
    cases.append(case("A2C", "dict", "discrete", "own extractors", {"share_features_extractor": False}))
    cases.append(case("PPO", "image", "discrete", "no hidden layer", {"net_arch": []}))
    cases.append(case("PPO", "dict", "multidiscrete", "no hidden layer", {"net_arch": []}))
    cases.append(case("PPO", "image", "discrete", "pixels as they are", {"normalize_images": False}))
    cases += [
        case("A2C", o, "discrete", "unscaled", {"normalize_images": False}) for o in ("floats", "float scene", "scene")
    ]
    scaled_already = {"features_extractor_kwargs": {"features_dim": 12, "normalized_image": True}}
    cases.append(case("PPO", "floats", "discrete", "scaled already", scaled_already))
    scaled_already = {"features_extractor_kwargs": {"cnn_output_dim": 6, "normalized_image": True}}
    cases.append(case("PPO", "float scene", "continuous", "scaled already", scaled_already))
    cases.append(Case("A2C", "MlpPolicy", "floats", "discrete", SMALL, {}, "flat"))
    for observation in ("image", "stack"):
        flat = Case("PPO", "MlpPolicy", observation, "discrete", SMALL, {}, "flat")
        cases += [flat, flat._replace(policy_kwargs={**SMALL, "normalize_images": False}, note="flat as they are")]
    return cases


def with_activations() -> list[Case]:
    cases = [case("PPO", "box", "continuous", name, {"activation_fn": fn}) for name, fn in activations().items()]
    for fn, keywords in (
        (torch.nn.LeakyReLU, {"negative_slope": 0.3}),
        (torch.nn.ELU, {"alpha": 0.5}),
        (torch.nn.GELU, {"approximate": "tanh"}),
        (torch.nn.Hardtanh, {"min_val": -0.5, "max_val": 0.7}),
    ):
        cases.append(
            case(
                "DQN", "box", "discrete", f"partial {fn.__name__}", {"activation_fn": functools.partial(fn, **keywords)}
            )
        )
    return cases


def off_policy() -> list[Case]:
    cases = [
        case(a, o, "discrete") for a in ("DQN", "QRDQN") for o in ("box", "discrete", "multibinary", "image", "dict")
    ]
    cases.append(case("QRDQN", "box", "discrete", "7 quantiles", {"n_quantiles": 7}))
    cases.append(case("DQN", "box", "discrete", "linear", {"net_arch": []}))
    for algorithm in ("TD3", "DDPG", "SAC", "TQC"):
        cases += [case(algorithm, o, "continuous") for o in ("box", "discrete", "image", "dict", "vectors")]
        cases.append(case(algorithm, "box", "matrix", "linear", {"net_arch": []}))
    for algorithm in ("SAC", "TQC", "CrossQ"):
        cases += [
            case(algorithm, "box", "continuous", "sde", None, SDE),
            case(algorithm, "box", "continuous", "sde, clip", {"clip_mean": 0.3}, SDE),
            case(algorithm, "box", "continuous", "sde, no clip", {"clip_mean": 0.0, "use_expln": True}, SDE),
        ]
    cases += [
        case("SAC", "dict", "continuous", "shared", {"share_features_extractor": True}),
        case("SAC", "floats", "continuous", "unscaled", {"normalize_images": False}),
    ]
    cases += [
        case("CrossQ", "box", "continuous", name, kwargs)
        for name, kwargs in {
            "": None,
            "plain": {"batch_norm": False},
            "linear": {"net_arch": []},
            "epsilon": {"batch_norm_eps": 0.3},
            "distinct": {"net_arch": {"pi": [6, 5, 4], "qf": [8]}},
        }.items()
    ]
    cases += [case("CrossQ", "matrix", "matrix"), case("CrossQ", "multibinary", "continuous")]
    return cases


def of_contrib() -> list[Case]:
    cases = []
    for action in ("discrete", "continuous"):
        cases.append(case("ARS", "box", action, policy_kwargs={}))
        cases.append(Case("ARS", "LinearPolicy", "box", action))
        cases.append(Case("ARS", "LinearPolicy", "discrete", action, {"with_bias": True}, {}, "bias"))
    cases.append(case("ARS", "box", "continuous", "clipped", {"squash_output": False}))
    cases.append(Case("ARS", "LinearPolicy", "box", "continuous", {"squash_output": True}, {}, "squashed"))
    return cases


def recurrent() -> list[Case]:
    def one(observation, action, note="", model_kwargs=None, **kwargs):
        usual, settings = POLICY_OF.get(observation, ("MlpPolicy", SMALL))
        policy = usual.replace("Policy", "LstmPolicy")
        return Case(
            "RecurrentPPO",
            policy,
            observation,
            action,
            {**settings, "lstm_hidden_size": 7, **kwargs},
            model_kwargs or {},
            note,
        )

    return [
        one("box", "continuous"),
        one("box", "discrete", "3 layers", n_lstm_layers=3),
        one("box", "continuous", "shared", shared_lstm=True, enable_critic_lstm=False),
        one("box", "continuous", "critic without memory", enable_critic_lstm=False),
        one("box", "continuous", "no hidden layer", net_arch=[]),
        one("box", "continuous", "sde", SDE),
        one("box", "continuous", "no biases", lstm_kwargs={"bias": False}),
        one("discrete", "multidiscrete"),
        one("image", "discrete"),
        one("image", "discrete", "own extractors", share_features_extractor=False),
        one("scene", "multibinary"),
    ]


STATELESS = [*on_policy(), *with_activations(), *off_policy(), *of_contrib()]
