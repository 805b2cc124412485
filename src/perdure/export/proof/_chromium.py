"""A headless Chromium that answers messages, as Node does in `_javascript`. It needs numpy and Chromium alone.

A small server on this machine gives it one page. The page posts the answer to a message, which at first is none, and gets
the next message for it. Files come from the folders named in `mounts`.
"""

import contextlib
import functools
import http.server
import os
import queue
import runpy
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

JAVASCRIPT = runpy.run_path(str(Path(__file__).resolve().with_name("_javascript.py")))
EXPORT = Path(__file__).resolve().parents[1]  # the scripts of the proof and of the targets, for the page
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NO_CHROMIUM = (
    "Chromium is not installed. Install it from your system, as in: apt-get install chromium, or name a Chrome or Chromium in "
    "the environment variable PERDURE_CHROMIUM"
)
FLAGS = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync", "--mute-audio",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
ANSWER_SECONDS = 300
WAIT_SECONDS = 20  # how long the page waits for a message until it asks again
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
PAGE = b"""<!doctype html><meta charset="utf-8"><title>Perdure</title>
<script type="importmap">{"imports": {"@litertjs/wasm-utils": "/modules/@litertjs/wasm-utils/dist/index.js"}}</script>
<script type="module">
import { answer, decode } from "/export/proof/messages.mjs";
const failed = (error) => () => { throw error; };
const { open } = await import("/opener/OPENER").catch((error) => ({ open: failed(error) }));
const models = {};
try {
  for (let body = null; ; ) {
    const reply = await fetch("/next", { method: "POST", body });
    body = reply.status === 204 ? null : await answer(decode(new Uint8Array(await reply.arrayBuffer())), open, models);
  }
} finally {
  close(); // nobody is left who asks: this ends Chromium
}
</script>"""


def find_chromium() -> str | None:
    """The program: what PERDURE_CHROMIUM names, else the first that is here."""
    named = os.environ.get("PERDURE_CHROMIUM")
    return next((path for name in ([named] if named else NAMES) if (path := shutil.which(name))), None)


def missing_chromium() -> str | None:
    return None if find_chromium() else NO_CHROMIUM


class Handler(http.server.BaseHTTPRequestHandler):
    """Files below the mounts, and `/next`."""

    protocol_version = "HTTP/1.1"  # one connection for all messages
    disable_nagle_algorithm = True  # which would hold each body back for 40 ms

    def __init__(self, *arguments: Any, browser: "Browser"):
        self.browser = browser
        super().__init__(*arguments)

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, status: int, data: bytes = b"", kind: str = "application/octet-stream") -> None:
        with contextlib.suppress(ConnectionError):  # the browser is closed while it waits for a message
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self.reply(200, PAGE.replace(b"OPENER", self.browser.opener.name.encode()), "text/html")
        else:
            self.file(path)

    def file(self, path: str) -> None:
        mount, _, rest = path.lstrip("/").partition("/")
        root = self.browser.mounts.get(mount)
        found = (root / rest).resolve() if root is not None else None
        if root is None or found is None or not found.is_relative_to(root.resolve()) or not found.is_file():
            self.reply(404)
            return
        self.reply(200, found.read_bytes(), TYPES.get(found.suffix, "application/octet-stream"))

    def do_POST(self) -> None:
        answer = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if answer:
            self.browser.answers.put(answer)
        try:
            self.reply(200, self.browser.messages.get(timeout=WAIT_SECONDS))
        except queue.Empty:
            self.reply(204)


class Browser:
    """Chromium with the script that opens a model. Call `close` at the end.

    Raises: RuntimeError that says what to install.
    """

    def __init__(self, opener: Path, modules: Path | None = None):
        chromium = find_chromium()
        if chromium is None:
            raise RuntimeError(NO_CHROMIUM)
        self.opener = opener
        self.mounts = {"export": EXPORT, "opener": opener.parent, **({"modules": modules} if modules else {})}
        self.messages: queue.Queue[bytes] = queue.Queue()
        self.answers: queue.Queue[bytes] = queue.Queue()
        handler = functools.partial(Handler, browser=self)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.folder = tempfile.TemporaryDirectory(prefix="perdure-chromium-", ignore_cleanup_errors=True)
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        page = f"http://127.0.0.1:{self.server.server_port}/"
        self.process = subprocess.Popen(
            [chromium, *FLAGS, *root, f"--user-data-dir={self.folder.name}", page],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, message: dict[str, Any], arrays: Any = None) -> Any:
        self.messages.put(JAVASCRIPT["encode"](message, arrays))
        for _ in range(ANSWER_SECONDS):
            with contextlib.suppress(queue.Empty):
                return JAVASCRIPT["decode"](self.answers.get(timeout=1))
            if self.process.poll() is not None:
                raise RuntimeError(f"Chromium ended with exit code {self.process.returncode}.")
        raise RuntimeError(f"Chromium gave no answer within {ANSWER_SECONDS} s.")

    def open(self, model: str) -> dict[str, Any]:
        """The folder of the model is `/model/` for the page."""
        self.mounts["model"] = Path(model).parent
        return JAVASCRIPT["open_model"](self.ask, f"/model/{Path(model).name}")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()
