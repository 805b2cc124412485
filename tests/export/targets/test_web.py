"""The target `web`: its physics in Node against ours, its proof in Chromium, and the page as a visitor uses it."""

import base64
import functools
import http.server
import json
import math
import re
import shutil
import struct
import threading
import zlib
from importlib import resources
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

import perdure.cli._export as commands
from perdure.checkpoint import save_policy
from perdure.env import make
from perdure.env.classic_control import CartPole, Pendulum
from perdure.export import export, verify
from perdure.export.program import lower
from perdure.export.proof import _chromium
from perdure.export.targets.c._compile import zig_compiler
from perdure.export.targets.web._tasks import TASKS, task_of
from perdure.policy import MLPActorCriticPolicy
from perdure.space import Box, Discrete
from tests.support.export.node import needs_node, node
from tests.support.export.policies import OBSERVATION, POLICIES, convolution, mixed, recurrent

needs_zig = pytest.mark.skipif(zig_compiler() is None, reason='ziglang is not installed: pip install "perdure[c]"')
needs_chromium = pytest.mark.skipif(_chromium.find_chromium() is None, reason=_chromium.NO_CHROMIUM)
NO_PLAYWRIGHT = "the page is tested through Playwright: pip install playwright"

# per task: the size of its states, and actions to try
STATES = {
    "CartPole-v1": ((3.0, 3.0, 0.3, 3.0), ([0], [1])),
    "Pendulum-v1": ((math.pi, 8.0), ([-3.0], [-0.7], [2.0])),
    "MountainCar-v0": ((1.2, 0.07), ([0], [1], [2])),
    "MountainCarContinuous-v0": ((1.2, 0.07), ([-1.5], [0.3], [1.0])),
    "Acrobot-v1": ((math.pi, math.pi, 12.0, 28.0), ([0], [1], [2])),
}
RESETS = {
    "CartPole-v1": (-0.05, 0.05), "Pendulum-v1": (-math.pi, math.pi), "MountainCar-v0": (-0.6, 0.0),
    "MountainCarContinuous-v0": (-0.6, 0.0), "Acrobot-v1": (-0.1, 0.1),
}  # fmt: skip


@needs_node
@pytest.mark.parametrize("name", TASKS)
def test_the_physics_in_javascript_is_ours_step_by_step(name):
    env = TASKS[name]()
    scale, choices = STATES[name]
    random = np.random.default_rng(0)
    state = (random.uniform(-1, 1, (300, len(scale))) * np.asarray(scale)).astype(np.float32)
    state[:4, 0] = scale[0] * np.array([1, -1, 0.999, -0.999])  # walls and turns
    if "Car" in name:
        state[:, 0] = np.clip(state[:, 0], -1.2, 0.6)
    action = np.asarray([choices[k % len(choices)] for k in range(len(state))], np.float32)
    given = action.astype(np.int32)[:, 0] if isinstance(env.action_space, Discrete) else action
    want = jax.vmap(lambda s, a: env.step(s, a, key=jr.key(0)))(jnp.asarray(state), jnp.asarray(given))
    page = resources.files("perdure.export.targets.web") / "page" / "tasks.js"
    opened = node(str(Path(__file__).with_name("tasks.mjs"))).open(f"{page}#{name}")
    got = opened["prepare"]({"state": state, "action": action})()
    turned = np.abs(got["state"] - want.state)
    if name in ("Pendulum-v1", "Acrobot-v1"):  # -pi and pi are one angle
        turned = np.minimum(turned, np.abs(turned - 2 * np.pi))
    assert (turned <= 2e-5 * (1 + np.abs(want.state))).all()
    np.testing.assert_allclose(got["observation"], want.observation, rtol=5e-5, atol=5e-5)
    np.testing.assert_allclose(got["reward"][:, 0], want.reward, rtol=1e-5, atol=1e-5)
    assert (got["terminated"][:, 0] == want.terminated).all()
    assert name == "Pendulum-v1" or 0 < want.terminated.sum() < len(state)
    assert got["first"].min() >= RESETS[name][0]
    assert got["first"].max() <= RESETS[name][1]
    assert (got["pushed"] != state).any(1).mean() > 0.9
    assert int(opened["version"]) == make(name).max_episode_steps


def test_the_task_is_known_by_its_name_or_by_its_spaces():
    spaces = {name: (TASKS[name]().observation_space, TASKS[name]().action_space) for name in TASKS}
    for name, pair in spaces.items():
        assert task_of(*pair, None) == name
        assert task_of(*pair, name) == name
    assert task_of(*spaces["CartPole-v1"], "Hopper-v5") is None
    assert task_of(*spaces["CartPole-v1"], "Pendulum-v1") is None
    old_gym = Box(np.array([-4.8, -3.4e38, -0.418879, -3.4e38]), np.array([4.8, 3.4e38, 0.418879, 3.4e38]))
    assert task_of(old_gym, Discrete(2), None) == "CartPole-v1"
    assert task_of(OBSERVATION, Discrete(2), None) is None
    environment = lower(POLICIES["continuous"](), environment="Hopper-v5").metadata["environment"]
    assert environment == "Hopper-v5"


def test_the_command_line_passes_on_what_the_policy_was_trained_for(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(commands, "export_policy", lambda *_, **settings: given.update(settings))
    policy = MLPActorCriticPolicy(env=CartPole(), hidden_sizes=(8,), key=jr.key(0))
    save_policy(tmp_path / "policy.safetensors", policy, metadata={"environment": "CartPole-v1"})
    commands.export(tmp_path / "policy.safetensors", tmp_path / "deploy", ("web",), compilation_cache=False)
    assert given["options"].environment == "CartPole-v1"
    assert given["targets"] == ["web"]


@needs_zig
def test_without_chromium_it_is_written_and_not_proven_here(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (row,) = export(recurrent(), tmp_path / "deploy", ["web"], num_observations=20).targets
    assert row.missing == _chromium.NO_CHROMIUM
    assert (tmp_path / "deploy" / "policy_web" / "golden.js").stat().st_size > 100
    assert not verify(tmp_path / "deploy", trust=True).targets[0].is_proven
    with pytest.raises(ValueError, match="deploy is whole, but nothing of it was proven here"):
        commands.verify(tmp_path / "deploy", trust=True)


@needs_zig
@needs_chromium
def test_a_policy_with_memory_is_proven_in_chromium_and_verifies(tmp_path):
    (row,) = export(recurrent(), tmp_path / "deploy", ["web"], num_observations=100).targets
    assert row.runtime.startswith("Chromium ")
    assert row.max_error <= 1e-5
    assert row.broken > 0
    assert row.microseconds > 0
    assert verify(tmp_path / "deploy", trust=True).targets[0].observations >= 700  # 100 steps of 7 and the golden rows


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A page for each way to use it."""
    folder = tmp_path_factory.mktemp("pages")
    policies = {
        "cart": MLPActorCriticPolicy(env=CartPole(), hidden_sizes=(8,), key=jr.key(0)),
        "pendulum": MLPActorCriticPolicy(env=Pendulum(), hidden_sizes=(8,), key=jr.key(0)),
        "mixed": mixed(),
        "recurrent": recurrent(),
        "convolution": convolution(),
        "several": POLICIES["several"](),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: None)  # proven by the tests above: the page has its own proof
        for name, policy in policies.items():
            masked = name == "several"
            export(policy, folder / name, ["web"], name=name, num_observations=20, action_mask=masked)
    return folder


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=_chromium.find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, exported):
    """Opens a page from its file; nothing may be fetched from elsewhere, and nothing may go wrong."""
    wrong, pages = [], []

    def open_page(name, address=None, **settings):
        page = chromium.new_page(viewport={"width": 900, "height": 1000}, **settings)
        pages.append(page)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        address = address or (exported / name / f"{name}_web").as_uri()
        page.on("request", lambda r: None if r.url.startswith((address, "data:")) else wrong.append(r.url))
        page.goto(f"{address}/index.html")
        page.wait_for_function("() => document.getElementById('latency').textContent")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []


page_test = [needs_zig, needs_chromium]


def numbers(page):
    return [float(x) for x in page.locator("#action .number").all_inner_texts()]


def steps(page):
    return int(re.search(r"Step (\d+)", page.inner_text("#episode")).group(1))


class TestPage:
    pytestmark = page_test

    def test_it_plays_the_task_and_takes_keys_and_pushes(self, visit):
        page = visit("cart")
        assert re.match(r"Pass: \d+ golden observations \(\d+ of them broken", page.inner_text("#proof"))
        assert re.match(r"[\d.]+ µs per action", page.inner_text("#latency"))
        assert page.inner_text("h1") == "cart"
        assert page.inner_text("#play-title").lower() == "cartpole-v1"
        page.wait_for_function("() => Perdure.episode.steps > 2")
        page.keyboard.press("Space")
        assert "paused" in page.inner_text("#announce").lower()
        page.wait_for_timeout(100)
        before = page.evaluate("[...Perdure.episode.state]")
        page.wait_for_timeout(200)
        assert page.evaluate("[...Perdure.episode.state]") == before
        page.keyboard.press("ArrowRight")
        after = page.evaluate("[...Perdure.episode.state]")
        assert after[3] == pytest.approx(before[3] + 0.8)
        assert after[:3] == before[:3]
        page.click("#push-left")
        assert page.evaluate("Perdure.episode.state[3]") == pytest.approx(before[3])
        page.keyboard.press("r")
        assert steps(page) == 0 or page.wait_for_function("() => Perdure.episode.steps === 0")
        page.focus("#pause")
        page.keyboard.press("Space")  # the button itself, once
        page.wait_for_function("() => Perdure.episode.steps > 1")
        painted = (
            "[...document.getElementById('canvas').getContext('2d').getImageData(0, 0, 960, 540).data].some(x => x)"
        )
        assert page.evaluate(painted)

    def test_it_works_from_a_file_server(self, visit, exported):
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        handler = functools.partial(Quiet, directory=exported / "recurrent")
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/recurrent_web"
            assert visit("recurrent", address).inner_text("#proof").startswith("Pass: ")
            server.shutdown()

    def test_what_it_does_in_the_task_is_what_the_policy_says(self, visit):
        page = visit("pendulum")
        policy = MLPActorCriticPolicy(env=Pendulum(), hidden_sizes=(8,), key=jr.key(0))
        for _ in range(3):
            page.wait_for_timeout(120)
            observation, action = page.evaluate(
                "(() => { const [a, v] = Perdure.episode.state;"
                " return [[Math.cos(a), Math.sin(a), v], [...Perdure.found.action]]; })()"
            )
            want = policy(None, jnp.asarray(observation, jnp.float32))[1]
            np.testing.assert_allclose(action, want, atol=1e-4)

    def test_sliders_give_the_policys_action(self, visit):
        page = visit("mixed")
        page.fill("[id='observation.sensor.position-0']", "0.5")
        page.fill("[id='observation.kind-0']", "2")
        sensor = {"position": jnp.array([0.5, 0.0]), "image": jnp.zeros((2, 3), jnp.uint8)}
        want = np.asarray(mixed()(None, {"kind": jnp.int32(2), "sensor": sensor})[1])
        np.testing.assert_allclose(numbers(page), want, atol=2e-3)
        page.click("#random")
        assert numbers(page) != pytest.approx(want, abs=2e-3)

    def test_a_picture_is_scaled_and_acted_on(self, visit, tmp_path):
        page, policy = visit("convolution"), convolution()
        seen = set()
        for k, color in enumerate([(250, 10, 10), (10, 10, 250), (0, 0, 0), (120, 250, 30)]):
            file = tmp_path / f"{k}.png"
            file.write_bytes(png(20, 30, color))
            page.set_input_files("input[type=file]", file)
            page.wait_for_function(
                "c => `${document.querySelector('.picture').getContext('2d').getImageData(7, 7, 1, 1).data}` == c",
                arg=",".join(map(str, (*color, 255))),
            )
            (got,) = numbers(page)
            assert got == policy(None, jnp.broadcast_to(jnp.asarray(color, jnp.uint8), (8, 8, 3)))[1]
            seen.add(got)
        assert "scaled to 8 by 8" in page.inner_text("#controls")
        (tmp_path / "picture.png").write_text("no picture")
        page.set_input_files("input[type=file]", tmp_path / "picture.png")
        page.get_by_text("is no picture that this browser can read").wait_for()
        assert len(seen) > 1

    def test_what_is_barred_is_not_chosen(self, visit):
        page = visit("several")
        first, second = map(int, numbers(page))
        page.uncheck(f"#action_mask-{first}")
        page.uncheck(f"#action_mask-{3 + second}")
        assert numbers(page)[0] != first
        assert numbers(page)[1] != second

    def test_a_wrong_answer_is_a_fail_on_the_page(self, visit, exported):
        file = exported / "recurrent" / "recurrent_web" / "golden.js"
        right = file.read_text()
        told = json.loads(right.partition("= ")[2].rstrip(";\n"))
        action = np.frombuffer(base64.b64decode(told["outputs"]["action"]), np.float32).copy()
        action[-1], action[2] = 0.0, action[2] + 1e-3  # the last one is broken: its answer is NaN
        told["outputs"]["action"] = base64.b64encode(action).decode()
        try:
            file.write_text(f"globalThis.PERDURE_GOLDEN = {json.dumps(told)};")
            assert visit("recurrent").inner_text("#proof").startswith("Fail: 2 of ")
            told["outputs"]["action"] = "?"
            file.write_text(f"globalThis.PERDURE_GOLDEN = {json.dumps(told)};")
            assert visit("recurrent").inner_text("#proof").startswith("Fail: the golden answers cannot be read")
        finally:
            file.write_text(right)

    def test_the_memory_goes_on_step_by_step_and_starts_again(self, visit):
        page = visit("recurrent")
        first = numbers(page)
        page.click("#step")
        second = numbers(page)
        page.click("#forget")
        assert numbers(page) == first != second

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("name", ["cart", "mixed"])
    def test_everything_has_a_name_and_can_be_read(self, visit, name, scheme):
        page = visit(name, color_scheme=scheme)
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, input, select')].filter(e => e.offsetParent)"
            ".filter(e => !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).map(e => e.id)"
        )
        assert unnamed == []
        colors = page.evaluate(
            "['--text', '--muted', '--good', '--bad', '--back', '--panel']"
            ".map(n => getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
        )
        *texts, back, panel = map(luminance, colors)
        assert (back < 0.05) == (scheme == "dark")
        for text in texts:
            for ground in (back, panel):
                assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5


def luminance(color):
    """Relative luminance of #rrggbb. Source: WCAG 2.2."""
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def png(width, height, color):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(color) * width) * height
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
