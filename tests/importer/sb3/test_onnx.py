"""Imported samples in onnxruntime: the export answers as the authors' own `predict` did."""

import jax
import numpy as np
import pytest

from perdure.checkpoint import load_policy, save_policy
from perdure.export import to_onnx
from perdure.importer import read_sb3
from perdure.space import Box
from tests.support.sb3 import action_error
from tests.support.shared_files import sb3_entries, shared_data

DATA = shared_data()
needs_files = pytest.mark.skipif(DATA is None, reason="the model files of ../shared/data are not here")
QUICK = ("a2c_Hopper-v3", "ppo_rich_dict", "recppo_sep", "maskable")


def samples():
    """All of them; each takes seconds, so few run by default."""
    for folder in ("sb3", "sb3_synthetic"):
        for entry in sb3_entries(folder):
            name = (entry.get("file") or entry["zip"]).removesuffix(".zip")
            marks = () if name in QUICK else (pytest.mark.slow,)
            yield pytest.param(folder, entry, id=name, marks=marks)


def session_of(policy, **settings):
    pytest.importorskip("onnx", reason="ONNX is written with the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")
    model = to_onnx(policy, batched=True, **settings)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session, arrays, **more):
    """The outputs by name; arrays are in the dtypes that the session takes."""
    wanted = {port.name: port.type for port in session.get_inputs()}
    kinds = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
    feed = {name: np.asarray(array, kinds.get(wanted[name], bool)) for name, array in {**arrays, **more}.items()}
    assert feed.keys() == wanted.keys()
    return dict(zip([port.name for port in session.get_outputs()], session.run(None, feed), strict=True))


def inputs(arrays, prefix):
    """`obs` or `obs.<key>` of the golden file as `observation` or `observation.<key>`."""
    begin = f"{prefix}obs"
    return {f"observation{k.removeprefix(begin)}": x for k, x in arrays.items() if k.partition(".")[0] == begin}


@needs_files
@pytest.mark.parametrize(("folder", "entry"), list(samples()))
def test_the_export_of_an_imported_model_answers_as_its_authors_code_does(folder, entry):
    model = DATA / folder / (entry.get("file") or entry["zip"])
    arrays = dict(np.load(DATA / folder / (entry.get("golden") or entry["npz"])))
    statistics = model.with_suffix(".vecnormalize.pkl")
    for prefix in [p for p in ("", "vn_") if any(k.partition(".")[0] == f"{p}obs" for k in arrays)]:
        channels_first = entry.get("wrap") == "stack4"
        policy, _ = read_sb3(model, vecnormalize=statistics if prefix else None, channels_first=channels_first)
        if entry.get("wrap") == "seq":
            check_sequence(policy, arrays)
            continue
        masks = {"action_mask": arrays["action_masks"]} if "action_masks" in arrays else {}
        given = run(session_of(policy, action_mask=bool(masks)), inputs(arrays, prefix), **masks)["action"]
        error = action_error(policy, given, arrays[f"{prefix}action"])
        assert error <= (entry.get("tol", {}).get("action_atol", 1e-5) if isinstance(policy.action_space, Box) else 0)


def check_sequence(policy, arrays):
    session = session_of(policy)
    names = [port.name for port in session.get_inputs() if port.name.startswith("state.")]
    assert not any(np.any(x) for x in jax.tree.leaves(policy.reset(key=jax.random.key(0))))
    sizes = {port.name: port.shape[1:] for port in session.get_inputs()}
    count = arrays["obs"].shape[1]
    state = {name: np.zeros((count, *sizes[name]), np.float32) for name in names}
    for observation, start, action in zip(arrays["obs"], arrays["episode_start"], arrays["action"], strict=True):
        state = {name: x * ~start.reshape(-1, *[1] * (x.ndim - 1)) for name, x in state.items()}
        given = run(session, {"observation": observation}, **state)
        assert action_error(policy, given["action"], action) <= 1e-5
        state = {name: given[f"next_{name}"] for name in names}


@pytest.mark.filterwarnings("ignore")  # of the other library
def test_images_that_are_normalised_before_convolutions_are_saved_and_exported(tmp_path):
    pytest.importorskip("stable_baselines3", reason="needs stable-baselines3")
    pytest.importorskip("sb3_contrib", reason="needs sb3-contrib")
    from tests.support.sb3_cases import case
    from tests.support.sb3_models import make_model, near_statistics, normalized_world, predict, saved

    model_case = case("TD3", "scene", "continuous")
    venv, model = normalized_world(model_case, 100.0), make_model(model_case)
    venv.save(tmp_path / "vecnormalize.pkl")
    observations = near_statistics(venv, "scene", 6)
    expected, _, _ = predict(model, venv.normalize_obs(observations))
    policy, _ = read_sb3(saved(model, tmp_path), vecnormalize=tmp_path / "vecnormalize.pkl")
    save_policy(tmp_path / "policy", policy)
    session = session_of(load_policy(tmp_path / "policy"))
    given = run(session, {f"observation.{key}": x for key, x in observations.items()})["action"]
    assert action_error(policy, given, expected) <= 1e-5
