"""Records `schema.json`: what files are made of. What stands in it already stays: run it after a class has got its step.

python -m tests.golden.make_schema
"""

import json
from pathlib import Path

from tests.support import schema

FILE = Path(__file__).parent / "schema.json"


def recorded() -> dict:
    return (
        json.loads(FILE.read_text())
        if FILE.exists()
        else {"classes": {}, "retired": {}, "functions": [], "operators": {}}
    )


if __name__ == "__main__":
    schema.import_everything()
    before, classes = recorded(), {}
    for name, (version, fields) in schema.classes().items():
        versions = before["classes"].get(name, {})
        classes[name] = {**versions, **({} if str(version) in versions else {str(version): " ".join(fields)})}
    gone = {name: versions for name, versions in before["classes"].items() if name not in classes}
    after = {
        "formats": schema.formats(),
        "classes": dict(sorted({**classes, **gone}.items())),
        "retired": {**schema.retired(), **before["retired"]},
        "functions": sorted({*schema.functions(), *before["functions"]}),
        "operators": {**{n: " ".join(a) for n, a in schema.operators().items()}, **before["operators"]},
    }
    FILE.write_text(json.dumps(after, indent=1, sort_keys=True) + "\n")
