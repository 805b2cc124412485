"""Videos are read back and hold what was played."""

import pytest
from jax import random as jr

from perdure.algorithm import PPO
from perdure.callback import RecordVideos
from perdure.env import TimeLimit, probe
from perdure.env.classic_control import Acrobot, CartPole, MountainCar, Pendulum
from perdure.policy import MLPActorCriticPolicy

pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
imageio = pytest.importorskip("imageio.v3", reason="the extra `video` is not installed")

pytestmark = [  # imageio's own: a pipe that it leaves open, and the fork of its ffmpeg beside the threads of JAX
    pytest.mark.filterwarnings("ignore:os.fork"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def train(videos, steps, env):
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0))
    algorithm = PPO(num_envs=2, num_steps=10, num_minibatches=1, num_epochs=1)
    algorithm.run(algorithm.init(env, policy, key=jr.key(1)), steps, callbacks=[videos])


@pytest.mark.parametrize("task", [CartPole, Pendulum, Acrobot, MountainCar], ids=lambda t: t.__name__)
def test_videos_show_the_policy_at_work(tmp_path, task):
    env = TimeLimit(task(), 12)
    videos = RecordVideos(tmp_path, env, frequency=40, max_steps=20, fps=10)
    train(videos, 40, env)
    assert [path.name for path in videos.paths] == ["step-000000040.mp4"]
    frames = imageio.imread(videos.paths[0])
    assert frames.shape[1:] == (400, 400, 3)
    assert 8 <= len(frames) <= 12
    assert frames[0].min() < 100  # something is drawn
    assert (frames[0] != frames[-1]).any()


def test_videos_of_gymnasium_are_its_own_pictures(tmp_path):
    gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")
    pytest.importorskip("pygame", reason="gymnasium[classic-control] is not installed")
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    videos = RecordVideos(tmp_path, env, frequency=20, max_steps=5)
    train(videos, 20, TimeLimit(CartPole(), 10))
    assert imageio.imread(videos.paths[0]).shape == (5, *env.render().shape)
    env.close()
    with pytest.raises(ValueError, match="render_mode='rgb_array'"):
        RecordVideos(tmp_path, gymnasium.make("CartPole-v1"))
    with pytest.raises(ValueError, match="only of the classic control tasks"):
        RecordVideos(tmp_path, probe.ActOnMemory())
