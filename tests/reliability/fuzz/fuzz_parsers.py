"""Coverage-guided fuzzing of one parser, with atheris (https://github.com/google/atheris).

    python -m tests.reliability.fuzz.fuzz_parsers metadata|header|policy|eqx [CORPUS] [-max_total_time=600] [...]

What is new goes to CORPUS, or to the small one beside this file, from which every run begins; options are libFuzzer's. Each
input is parsed as it is, and with its digests put right. What is found ends the run, with the input in a file `crash-...`.
"""

import sys
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("skipped: atheris is not installed; pip install atheris")

HERE = Path(__file__).parent

with atheris.instrument_imports(include=["perdure._core", "perdure.checkpoint", "json"]):
    import perdure._core
    import perdure.checkpoint  # noqa: F401
    from tests.support.parsers import ALLOWED, parsers


def main() -> None:
    name = sys.argv.pop(1)
    parser = parsers()[name]
    own = HERE / "corpus" / name
    own.mkdir(parents=True, exist_ok=True)
    (own / "valid").write_bytes(parser.valid)

    def test_one_input(content: bytes) -> None:
        for given in (content, parser.sign(content)):
            try:
                parser.parse(given)
            except ALLOWED:
                continue

    atheris.Setup([*sys.argv, str(own)], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
