"""The line of the user's code that an equation came from."""

from pathlib import Path
from typing import Any

try:  # private, so its absence may only cost the line
    from jax._src import source_info_util
except ImportError:  # pragma: no cover
    source_info_util = None  # type: ignore[assignment]

OWN_FOLDER = str(Path(__file__).resolve().parents[2])  # of the whole package


def shorten(file_name: str) -> str:
    """Relative to the working directory where it lies below it, else the last two parts: no home folder in messages."""
    path = Path(file_name)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(Path(*path.parts[-2:]))


def user_line(source_info: Any) -> str:
    """`file.py:12 (function)`: the innermost frame that is neither an installed package nor Perdure itself."""
    if source_info_util is None:
        return "unknown line"
    frames = list(source_info_util.user_frames(source_info.traceback))
    own = [f for f in frames if "site-packages" not in f.file_name and not f.file_name.startswith(OWN_FOLDER)]
    frame = next(iter(own or frames), None)
    return f"{shorten(frame.file_name)}:{frame.start_line} ({frame.function_name})" if frame else "unknown line"
