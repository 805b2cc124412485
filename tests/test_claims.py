"""Each claim of the documents stands where `docs/claims.md` says, and is shown by a test or a benchmark that is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = re.findall(r"^\| (\S+\.md) \| (.+?) \| (.+?) \|$", (ROOT / "docs/claims.md").read_text(), re.MULTILINE)
STRONG = re.compile(r"\b(always|never|every|exact|exactly|nothing|bit)\b", re.IGNORECASE)


def words(text: str) -> str:
    return " ".join(text.split())


def names_in(path: Path) -> set[str]:
    """Names of the test functions, those of classes too."""
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize(("page", "claim", "shown"), ROWS, ids=[claim[:40] for _, claim, _ in ROWS])
def test_a_claim_stands_in_its_page_and_is_shown(page, claim, shown):
    assert claim in words((ROOT / page).read_text()), f"{page} does not say it any more"
    places = re.findall(r"`([^`]+)`", shown)
    assert places
    for place in places:
        path, _, name = place.partition("::")
        assert (ROOT / path).is_file(), place
        assert not name or name in names_in(ROOT / path), place


def test_no_strong_word_of_the_readme_is_without_a_claim():
    claims = [claim for page, claim, _ in ROWS if page == "README.md"]
    assert len(claims) > 15
    text = words((ROOT / "README.md").read_text())
    covered = [(at.start(), at.end()) for claim in claims for at in re.finditer(re.escape(claim), text)]
    for found in STRONG.finditer(text):
        place = text[max(found.start() - 60, 0) : found.end() + 40]
        assert any(start <= found.start() < end for start, end in covered), place
