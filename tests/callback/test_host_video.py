"""Films of Gymnasium's environments, one or several side by side; recording disturbs no training."""

import pytest

from perdure.callback import ConsoleTable, LearningCurve, RecordVideos, TensorBoard
from perdure.env import make
from perdure.env.adapter import HostEnv, to_gymnasium_env
from tests.support.callbacks import ENV, begin, bits, train

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")
pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
imageio = pytest.importorskip("imageio.v3", reason="the extra `video` is not installed")

pytestmark = [  # imageio's own: a pipe that it leaves open, and the fork of its ffmpeg beside the threads of JAX
    pytest.mark.filterwarnings("ignore:os.fork"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def host(render_mode="rgb_array"):
    one = lambda: to_gymnasium_env(ENV, render_mode=render_mode)  # noqa: E731
    return HostEnv(gymnasium.vector.SyncVectorEnv([one, one], autoreset_mode="SameStep"))


def test_the_first_of_several_host_environments_is_filmed_until_its_episode_ends(tmp_path):
    videos = RecordVideos(tmp_path, host(), frequency=40, fps=10)
    train(videos, steps=80)
    assert [path.name for path in videos.paths] == ["step-000000040.mp4", "step-000000080.mp4"]
    frames = imageio.imread(videos.paths[0])
    assert frames.shape[1:] == (400, 400, 3)
    assert 8 <= len(frames) <= 10  # a constant push fails after 8 steps, the limit is 10
    assert (frames[0] != frames[-1]).any()


def test_a_film_ends_at_max_steps(tmp_path):
    native, hosted = (RecordVideos(tmp_path / name, env, frequency=20, max_steps=3) for name, env in films())
    train(native, hosted, steps=20)
    assert [len(imageio.imread(videos.paths[0])) for videos in (native, hosted)] == [3, 3]


def films():
    return (("native", ENV), ("host", host()))


def test_training_is_the_same_to_the_bit_whatever_is_written_down(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    listeners = (
        RecordVideos(tmp_path, ENV, frequency=60),
        TensorBoard(tmp_path / "board"),
        LearningCurve(tmp_path / "curve.csv", frequency=40),
        ConsoleTable(display_count=5),
    )
    assert bits(train(*listeners)) == bits(train())
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 1 + 5


def test_environments_that_cannot_be_filmed_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"CartPole has render_mode=None. Make it with render_mode='rgb_array'"):
        RecordVideos(tmp_path, host(None))
    env = host()
    with pytest.raises(ValueError, match="env is the CartPole that is trained on"):
        train(RecordVideos(tmp_path, env), state=begin(env), env=env)
    with pytest.raises(ValueError, match="observation_space"):
        train(RecordVideos(tmp_path, make("Pendulum-v1"), frequency=10**9))
    with pytest.raises(ValueError, match="fps=0"):
        RecordVideos(tmp_path, ENV, fps=0)
