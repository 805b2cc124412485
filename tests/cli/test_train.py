"""`perdure train` makes a policy that the algorithm can train, whatever the algorithm and the kind of policy."""

import jax
import pytest
import tyro
from jax import random as jr

from perdure.algorithm import PPO, registered_algorithms
from perdure.cli._choices import CONSTRUCTORS, kind_as_word, with_choices
from perdure.cli._evaluate import evaluate
from perdure.cli._train import train
from perdure.env import make
from perdure.models import new_policy
from perdure.policy import BODIES, CNNBody, MLPBody, RecurrentBody


@pytest.mark.parametrize("name", registered_algorithms())
@pytest.mark.parametrize("kind", [k for k in BODIES if k != "cnn"])
def test_each_algorithm_gets_a_policy_it_can_train(name, kind):
    algorithm = registered_algorithms()[name]
    continuous = algorithm.__name__ in ("DDPG", "TD3", "SAC", "TQC")
    env = make("Pendulum-v1" if continuous else "CartPole-v1")
    policy = new_policy(algorithm, kind, env, hidden_sizes=(8,), key=jr.key(0))
    jax.eval_shape(lambda key: algorithm().begin(env, policy, key=key).iteration, jr.key(1))


def test_what_is_not_ours_is_taken_from_gymnasium(tmp_path, capsys):
    pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")
    algorithm = PPO(num_envs=2, num_steps=8, num_minibatches=2)
    settings = {"total_timesteps": 32, "out": tmp_path / "run", "compilation_cache": False}
    train(algorithm, "FrozenLake-v1", MLPBody(hidden_sizes=(4,)), **settings)
    evaluate(tmp_path / "run", episodes=1, compilation_cache=False)
    assert "FrozenLake-v1" in capsys.readouterr().out
    with pytest.raises(ValueError, match="There is no environment 'FrozenLak-v1'"):
        train(algorithm, "FrozenLak-v1", **(settings | {"out": tmp_path / "none"}))


USUAL = MLPBody()


def parsed(line):
    """What `perdure train` is called with for these arguments."""
    called = []

    def train_or_note(
        algorithm: object, env: tyro.conf.Positional[str], body: object = USUAL, total_timesteps: int = 1
    ) -> None:
        called.append((algorithm, env, body, total_timesteps))

    arguments = kind_as_word(["train", *line.split()])[1:]
    command = with_choices(train_or_note)
    tyro.cli(command, args=arguments, config=(tyro.conf.CascadeSubcommandArgs,), registry=CONSTRUCTORS)
    return called[0]


@pytest.mark.parametrize(
    "line",
    [
        "ppo CartPole-v1 recurrent --cell lstm --hidden-sizes 8 8 --activation relu --clip 0.1 --total-timesteps 7",
        "ppo recurrent CartPole-v1 --clip 0.1 --cell lstm --activation relu --hidden-sizes 8 8 --total-timesteps 7",
        "ppo CartPole-v1 --kind recurrent --cell lstm --activation relu --hidden-sizes 8 8 --clip 0.1 --total-timesteps 7",
        "ppo CartPole-v1 --policy.kind=recurrent --cell lstm --activation relu --hidden-sizes 8 8 --clip 0.1 --total-timesteps 7",
    ],
)
def test_flags_are_the_fields_of_the_algorithm_and_of_the_body(line):
    body = RecurrentBody(cell="lstm", hidden_sizes=(8, 8), activation=jax.nn.relu)
    assert parsed(line) == (PPO(clip=0.1), "CartPole-v1", body, 7)


@pytest.mark.parametrize("name", registered_algorithms())
@pytest.mark.parametrize("kind", BODIES)
def test_the_command_line_has_no_defaults_of_its_own(name, kind):
    assert parsed(f"{name} Task-v0 {kind}") == (registered_algorithms()[name](), "Task-v0", BODIES[kind](), 1)


def test_a_plain_body_needs_no_word_and_a_part_of_a_body_has_flags():
    assert parsed("a2c CartPole-v1 --hidden-sizes 16")[2] == MLPBody(hidden_sizes=(16,))
    body = parsed("dqn CartPole-v1 cnn --convolutions.features 64 --convolutions.activation tanh")[2]
    assert isinstance(body, CNNBody)
    assert (body.convolutions.features, body.convolutions.channels) == (64, (32, 64, 64))
