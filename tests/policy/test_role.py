"""Roles are usable wherever a class is, and a role on a kind of body is the role with its record."""

import copy
import dataclasses
import inspect
import pickle
from typing import Any, get_type_hints

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from beartype import beartype
from beartype.roar import BeartypeCallHintParamViolation
from jax import random as jr
from jaxtyping import jaxtyped

import perdure.policy
import perdure.utils
from perdure._core import describe, fingerprint, make
from perdure.network import MLP
from perdure.policy import (
    BODIES,
    AbstractPolicy,
    AbstractStatefulPolicy,
    AbstractStatelessPolicy,
    ActionHead,
    ActorCriticPolicy,
    Architecture,
    Body,
    CNNBody,
    Convolutions,
    DeterministicPolicy,
    LiquidBody,
    MLPActorCriticPolicy,
    MLPBody,
    MLPQPolicy,
    QPolicy,
    QuantileQPolicy,
    RecurrentActorCriticPolicy,
    RecurrentBody,
    RecurrentCell,
    SACPolicy,
    frozen,
)
from perdure.policy._role_settings import CNNSettings, LiquidSettings, MLPSettings, RecurrentSettings, RoleSettings
from tests.support.policy_kinds import CHOICE, CNN, FORCE, IMAGE, VECTOR, Spaces

ROLES = {role.__name__: role for role in (ActorCriticPolicy, QPolicy, QuantileQPolicy, DeterministicPolicy, SACPolicy)}
KINDS = {"MLP": MLPBody, "CNN": CNNBody, "Recurrent": RecurrentBody, "Liquid": LiquidBody}
NAMES = [(kind, role) for role in ROLES for kind in KINDS]
SMALL: dict[str, dict[str, Any]] = {
    "MLP": {"hidden_sizes": (4,)},
    "CNN": {"convolutions": CNN["convolutions"]},
    "Recurrent": {"memory_size": 4, "cell": "lstm"},
    "Liquid": {"num_neurons": 5, "num_motor": 2},
}


def named(kind, role):
    return getattr(perdure.policy, f"{kind}{role}")


def spaces_for(kind, role):
    actions = FORCE if role in ("DeterministicPolicy", "SACPolicy") else CHOICE
    return Spaces(IMAGE if kind == "CNN" else VECTOR, actions)


@pytest.mark.parametrize(("kind", "role"), NAMES)
def test_a_name_is_the_role_with_the_record_of_its_body(kind, role):
    name, spaces = named(kind, role), spaces_for(kind, role)
    by_name = eqx.filter_eval_shape(lambda key: name(spaces, **SMALL[kind], key=key), jr.key(0))
    by_record = eqx.filter_eval_shape(lambda key: ROLES[role](spaces, KINDS[kind](**SMALL[kind]), key=key), jr.key(0))
    assert type(by_name) is type(by_record)
    assert describe(by_name) == describe(by_record)
    assert fingerprint(by_name) == fingerprint(by_record)
    assert isinstance(by_name, name)
    assert isinstance(by_name, ROLES[role])
    others = [named(*other) for other in NAMES if other != (kind, role)]
    assert not any(isinstance(by_name, other) for other in others)
    family = AbstractStatelessPolicy if kind in ("MLP", "CNN") else AbstractStatefulPolicy
    assert isinstance(by_name, family)
    assert issubclass(name, family)
    assert issubclass(name, AbstractPolicy)
    assert issubclass(name, ROLES[role])
    assert issubclass(type(by_name), ROLES[role])
    assert by_name.name == type(by_name).__name__
    assert name.name == name.__name__ == f"{kind}{role}"


def test_weights_of_name_and_record_are_equal():
    spaces = Spaces(VECTOR, FORCE)
    by_name = RecurrentActorCriticPolicy(spaces, memory_size=4, separate_critic=True, squash=True, key=jr.key(3))
    body = RecurrentBody(memory_size=4)
    assert eqx.tree_equal(by_name, ActorCriticPolicy(spaces, body, separate_critic=True, squash=True, key=jr.key(3)))


def test_the_signature_has_the_settings_of_body_and_role_with_what_is_usual():
    parameters = inspect.signature(MLPActorCriticPolicy).parameters
    assert next(iter(parameters)) == "env"
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for name, p in parameters.items() if name != "env")
    defaults = {name: p.default for name, p in parameters.items()}
    assert defaults["hidden_sizes"] == (64, 64)
    assert defaults["activation"] is jnp.tanh
    assert defaults["initialization"] == "orthogonal"
    assert parameters["hidden_sizes"].annotation == tuple[int, ...]
    assert parameters["env"].default is parameters["key"].default is inspect.Parameter.empty
    assert "separate_critic" not in parameters
    assert "separate_critic" in inspect.signature(RecurrentActorCriticPolicy).parameters
    usual = inspect.signature(perdure.policy.CNNSACPolicy).parameters
    assert (usual["hidden_sizes"].default, usual["activation"].default) == ((64,), jax.nn.relu)
    for part in ("flattened observation", "gsde_interval", "`shared`"):
        assert part in MLPActorCriticPolicy.__doc__


@pytest.mark.parametrize(
    ("kind", "told"),
    [("MLP", MLPSettings), ("CNN", CNNSettings), ("Recurrent", RecurrentSettings), ("Liquid", LiquidSettings)],
)
def test_type_checkers_are_told_what_a_name_takes(kind, told):
    of_roles = set(get_type_hints(RoleSettings))
    fields = {field.name for field in dataclasses.fields(KINDS[kind])}
    assert set(get_type_hints(told)) - of_roles == fields
    taken = {name for role in ROLES for name in inspect.signature(named(kind, role)).parameters}
    assert taken - {"env", "key"} == fields | (of_roles if KINDS[kind].has_memory else of_roles - {"separate_critic"})


def test_a_setting_that_it_does_not_take_is_named_with_those_it_does():
    with pytest.raises(TypeError, match=r"MLPQPolicy: .*'squash'.*It takes env, hidden_sizes,.*epsilon"):
        MLPQPolicy(Spaces(VECTOR, CHOICE), squash=True, key=jr.key(0))
    with pytest.raises(TypeError, match="MLPQPolicy: missing a required argument: 'key'"):
        MLPQPolicy(Spaces(VECTOR, CHOICE))


@pytest.mark.parametrize("role", [MLPActorCriticPolicy, ActorCriticPolicy])
def test_it_is_an_annotation_that_is_checked(role):
    def act(policy: role) -> role:
        return policy

    policy = MLPActorCriticPolicy(Spaces(VECTOR, CHOICE), hidden_sizes=(4,), key=jr.key(0))
    other = MLPQPolicy(Spaces(VECTOR, CHOICE), hidden_sizes=(4,), key=jr.key(0))
    for checked in (beartype(act), jaxtyped(act, typechecker=beartype)):
        assert checked(policy) is policy
        with pytest.raises(Exception, match="policy") as raised:
            checked(other)
        assert isinstance(raised.value, BeartypeCallHintParamViolation | TypeError)


def test_names_are_pickled_and_policies_copied():
    policy = MLPQPolicy(Spaces(VECTOR, CHOICE), hidden_sizes=(4,), key=jr.key(0))
    assert pickle.loads(pickle.dumps(MLPQPolicy)) is MLPQPolicy
    for one in (policy, frozen(policy, lambda p: p.body)):
        assert eqx.tree_equal(copy.copy(one), one)


def test_a_frozen_body_is_of_the_kind_that_it_freezes():
    policy = MLPQPolicy(Spaces(VECTOR, CHOICE), hidden_sizes=(4,), key=jr.key(0))
    assert isinstance(frozen(policy, lambda p: p.body), MLPQPolicy)


def test_a_role_is_made_of_parts():
    body = Body.of(VECTOR, Architecture())
    actor, critic = (MLP(3, size, (4,), key=jr.key(i)) for i, size in enumerate((2, 1)))
    head = ActionHead.of(FORCE, jnp.zeros(2))
    policy = ActorCriticPolicy.of(body, actor, critic, head)
    assert isinstance(policy, MLPActorCriticPolicy)
    assert policy.observation_space == VECTOR
    for wrong, message in (
        ((body, critic, critic, head), "actor gives 1 numbers, but 2 are wanted"),
        ((body, actor, MLP(4, 1, key=jr.key(0)), head), "critic takes 4 features, but the body gives 3"),
    ):
        with pytest.raises(ValueError, match=message):
            ActorCriticPolicy.of(*wrong)
    with pytest.raises(ValueError, match="log_std is missing"):
        ActionHead.of(FORCE)
    with pytest.raises(ValueError, match="epsilon = 7"):
        QPolicy.of(body, MLP(3, 4, key=jr.key(0)), CHOICE, epsilon=7.0)
    with pytest.raises(ValueError, match="log_std and gsde_interval belong together"):
        SACPolicy.of(body, MLP(3, 4, key=jr.key(0)), FORCE, log_std=jnp.zeros((64, 2)))
    with pytest.raises(ValueError, match="network gives 2 numbers, but 4 are wanted"):
        SACPolicy.of(body, actor, FORCE)


def test_any_module_stands_where_the_trunk_stands(tmp_path):
    """Here a linear layer of Equinox, dressed: a module with `out_size` that is called on features."""
    from perdure.checkpoint import load_policy, save_policy

    body = Body.of(VECTOR, Architecture(), trunk=Sines(jnp.arange(6.0).reshape(2, 3)))
    policy = QPolicy.of(body, MLP(2, 4, (5,), key=jr.key(0)), CHOICE)
    _, q_values = policy.q_values(None, jnp.ones(3))
    assert jnp.array_equal(q_values, policy.network(jnp.sin(jnp.array([3.0, 12.0]))))
    save_policy(tmp_path / "policy", policy)
    assert eqx.tree_equal(load_policy(tmp_path / "policy"), policy)


@perdure.utils.register
class Sines(eqx.Module):
    weight: jax.Array

    @property
    def out_size(self):
        return self.weight.shape[0]

    def __call__(self, x):
        return jnp.sin(self.weight @ x)


def from_file(record, **fields):
    """As a file's reader makes it, which calls no constructor."""
    return make(record, vars(record()) | fields)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MLPBody(hidden_sizes=(4, 0)), r"hidden_sizes\[1\] = 0"),
        (lambda: from_file(MLPBody, initialization="zeros"), "initialization='zeros' is not known"),
        (lambda: MLPBody(keys=()), "keys is empty"),
        (lambda: CNNBody(trunk_sizes=(0,)), r"trunk_sizes\[0\] = 0"),
        (lambda: from_file(RecurrentBody, cell="rnn"), "cell='rnn' is not known"),
        (lambda: RecurrentBody(memory_size=0), "memory_size = 0"),
        (lambda: LiquidBody(sparsity=1.0), "sparsity=1.0"),
        (lambda: LiquidBody(num_neurons=1), "1 neurons"),
        (lambda: Convolutions(kernels=(3, 3)), "as many channels as kernels"),
        (lambda: Convolutions(strides=(4, 2, 0)), "each of them is one or more"),
        (lambda: RecurrentCell("gru", 4, count=3), "count = 3"),
    ],
)
def test_a_record_is_checked_when_it_is_made(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("cls", "field", "value", "message"),
    [
        ("MLPQPolicy", "epsilon", 7.0, "epsilon = 7"),
        ("MLPQPolicy", "epsilon", -0.5, "epsilon = -0.5"),
        ("RecurrentActorCriticPolicy", "gsde_interval", 0, "gsde_interval=0"),
    ],
)
def test_a_file_is_checked_as_a_call_is(cls, field, value, message, tmp_path):
    from perdure._core import FileFormatError, rebuild
    from perdure._core._leaves import leaf_to_numpy, leaves_with_paths

    kind = cls.removesuffix("QPolicy").removesuffix("ActorCriticPolicy")
    policy = getattr(perdure.policy, cls)(Spaces(VECTOR, CHOICE), **SMALL[kind], key=jr.key(0))
    description = describe(policy)
    for pair in description["fields"]:
        if pair[0] == field:
            pair[1] = value
    arrays = {path: leaf_to_numpy(leaf) for path, leaf in leaves_with_paths(policy)}
    with pytest.raises(FileFormatError, match=message):
        rebuild(description, arrays)


def test_every_kind_of_body_is_known_by_its_word():
    assert {kind: BODIES[kind] for kind in ("mlp", "cnn", "recurrent", "liquid")} == {
        "mlp": MLPBody,
        "cnn": CNNBody,
        "recurrent": RecurrentBody,
        "liquid": LiquidBody,
    }


@pytest.mark.parametrize("body", ["mlp", MLPBody, 3])
@pytest.mark.parametrize("name", ["body", "critic_body"])
def test_what_is_no_record_of_a_body_is_refused_by_name(name, body):
    with pytest.raises(
        TypeError, match=rf"ActorCriticPolicy: {name} is .*, but a record of a body is wanted, such as MLPBody"
    ):
        ActorCriticPolicy(Spaces(VECTOR, FORCE), **{name: body}, key=jr.key(0))
