"""The rooms of the house in the order of their imports, and the folders in them."""

from pathlib import Path

import perdure

SOURCE = Path(perdure.__file__).parent
ROOMS = [
    *("_core", "graph", "space", "distribution", "network", "env", "policy", "evaluation", "export", "callback"),
    *("algorithm", "checkpoint", "models", "importer", "field", "cli"),
]
PLANNED = {"field"}  # rooms that need not be there yet
INNER = {  # the order of the folders in a room; what lies in the room itself is "." and, if not named, on top
    "graph": [".", "_passes"],
    "env": [".", "classic_control", "probe", "wrapper", "adapter"],
    "export": ["trace", "guard", "program", "proof", "precision", "targets", "."],
}
APART = {"importer"}  # rooms whose folders import what lies in the room, and never one another


def folders(path: Path) -> set[str]:
    return {p.name for p in path.iterdir() if p.is_dir() and any(p.rglob("*.py"))} - {"__pycache__"}


INNER |= {room: [".", *sorted(folders(SOURCE / room))] for room in APART}
