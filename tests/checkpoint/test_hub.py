"""Policies on the Hub, against a stand-in server that speaks its protocol as far as huggingface_hub needs it."""

import base64
import hashlib
import http.server
import json
import re
import threading

import jax
import numpy as np
import pytest
from jax import random as jr

from perdure.checkpoint import load_from_hub, push_to_hub, save_policy
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy

hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
constants = pytest.importorskip("huggingface_hub.constants")
errors = pytest.importorskip("huggingface_hub.errors")
COMMIT = re.compile(r"[0-9a-f]{40}")


class Repository(http.server.BaseHTTPRequestHandler):
    """One repository, `me/cartpole`; every commit keeps its files."""

    def log_message(self, *arguments):
        pass

    def answer(self, status, content=b"", **headers):
        if isinstance(content, dict | list):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        commits, place = self.server.commits, self.path.split("?")[0]
        if self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401, {"error": "Invalid credentials"})
        if place == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if place == "/api/repos/create":
            return self.answer(200, {"url": f"{self.server.endpoint}/me/cartpole", "id": "1"})
        if place == "/api/models/me/cartpole/preupload/main":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if place == "/api/models/me/cartpole/commit/main":
            lines = [json.loads(line) for line in body.splitlines()]
            files = {x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"}
            name = hashlib.sha1(body).hexdigest()
            commits[name] = {**commits.get(next(reversed(commits), ""), {}), **files}
            url = f"{self.server.endpoint}/me/cartpole/commit/{name}"
            return self.answer(200, {"commitUrl": url, "commitOid": name, "hookOutput": "", "success": True})
        return self.answer(404)

    def do_GET(self):
        commits = self.server.commits
        match = re.fullmatch(r"/me/cartpole/resolve/([^/]+)/(.+)", self.path)
        if match is None:
            return self.answer(404, X_Error_Code="RepoNotFound")
        commit = next(reversed(commits)) if match[1] == "main" else match[1]
        if commit not in commits:
            return self.answer(404, X_Error_Code="RevisionNotFound")
        if match[2] not in commits[commit]:
            return self.answer(404, X_Error_Code="EntryNotFound")
        content = commits[commit][match[2]]
        return self.answer(200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', X_Repo_Commit=commit)

    do_HEAD = do_GET


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    server.endpoint, server.commits = f"http://127.0.0.1:{server.server_port}", {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def new(seed):
    return MLPActorCriticPolicy(CartPole(), hidden_sizes=(8,), key=jr.key(seed))


def logits(policy):
    observations = np.linspace(-1, 1, 44, dtype=np.float32).reshape(11, 4)
    return np.asarray(jax.vmap(lambda o: policy.evaluate(None, o)[1].logits)(observations))


def test_what_was_pushed_is_what_is_loaded_and_a_revision_pins_it(server, tmp_path):
    metadata = {
        "environment": "CartPole-v1",
        "algorithm": "PPO",
        "steps": 1000,
        "evaluation": {"mean": 500.0, "std": 0.25, "episodes": 20},
    }
    settings = {"token": "secret", "endpoint": server.endpoint}
    first = push_to_hub(new(1), "me/cartpole", metadata=metadata, **settings)
    save_policy(tmp_path / "second", new(2))
    second = push_to_hub(tmp_path / "second.safetensors", "me/cartpole", **settings)
    assert first.url == f"{server.endpoint}/me/cartpole"
    assert COMMIT.fullmatch(first.revision)
    assert COMMIT.fullmatch(second.revision)
    for seed, revision in ((1, first.revision), (2, second.revision), (2, None)):
        loaded = load_from_hub("me/cartpole", revision=revision, endpoint=server.endpoint)
        np.testing.assert_array_equal(logits(loaded), logits(new(seed)))


def test_the_card_tells_metrics_environment_and_how_to_load(server):
    metadata = {
        "environment": "CartPole-v1",
        "algorithm": "PPO",
        "evaluation": {"mean": 499.5, "std": 1.0, "episodes": 20},
    }
    pushed = push_to_hub(new(1), "me/cartpole", metadata=metadata, token="secret", endpoint=server.endpoint)
    text = server.commits[next(reversed(server.commits))]["README.md"].decode()
    card = hub.ModelCard(text)
    assert card.data.library_name == "perdure"
    assert "reinforcement-learning" in card.data.tags
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == (
        "CartPole-v1",
        "mean_reward",
        "499.50 +/- 1.00",
    )
    assert f'load_from_hub("me/cartpole", revision="{pushed.revision}")' in text


def test_a_damaged_file_is_not_pushed(server, tmp_path):
    save_policy(tmp_path / "policy", new(1))
    content = bytearray((tmp_path / "policy.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "policy.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        push_to_hub(tmp_path / "policy.safetensors", "me/cartpole", token="secret", endpoint=server.endpoint)
    assert not server.commits


def test_a_wrong_token_or_revision_is_told(server):
    with pytest.raises(errors.HfHubHTTPError, match="401"):
        push_to_hub(new(1), "me/cartpole", token="guess", endpoint=server.endpoint)
    push_to_hub(new(1), "me/cartpole", token="secret", endpoint=server.endpoint)
    with pytest.raises(errors.RevisionNotFoundError):
        load_from_hub("me/cartpole", revision="0" * 40, endpoint=server.endpoint)


def test_offline_the_cache_serves_and_else_the_error_says_what_to_do(server):
    pushed = push_to_hub(new(1), "me/cartpole", token="secret", endpoint=server.endpoint)
    load_from_hub("me/cartpole", revision=pushed.revision, endpoint=server.endpoint)
    nowhere = "http://127.0.0.1:9"
    np.testing.assert_array_equal(
        logits(load_from_hub("me/cartpole", revision=pushed.revision, endpoint=nowhere)), logits(new(1))
    )
    with pytest.raises(ConnectionError, match=r"The Hub at http://127.0.0.1:9 cannot be reached.*load_policy"):
        load_from_hub("me/other", endpoint=nowhere)
