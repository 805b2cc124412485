"""Opens an exported page's policy in a headless Chromium, for `replay`."""

import atexit
import runpy
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
CHROMIUM = runpy.run_path(str(HERE.parents[2] / "proof" / "_chromium.py"))


def open_model(path: str, folder: Path) -> dict[str, Any]:
    browser = CHROMIUM["Browser"](HERE.with_name("web.mjs"))
    atexit.register(browser.close)
    opened: dict[str, Any] = browser.open(path)
    return opened
