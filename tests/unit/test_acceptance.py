"""docs/acceptance.md names a test for every check, and every test it names is there."""

import ast
import re
import string
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "acceptance.md").read_text("utf-8")
CASES = [*range(12, 17), 32, 33, 36, *range(49, 54), 55, 56, 60]
NAMED = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def rows() -> dict[str, str]:
    """Return the last column of every line by its first."""
    lines = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    assert {len(cells) for cells in lines} == {3}
    return {cells[0].strip(): cells[2].strip() for cells in lines}


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) == PAGE.count("::")
    assert [f"{path}::{name}" for path, name in NAMED if name not in functions_of(path)] == []


@pytest.mark.parametrize("check", [*string.ascii_lowercase[:12], *map(str, CASES)])
def test_every_check_has_a_test_or_a_reason(check: str) -> None:
    held = rows()[check]
    assert "::test_" in held or held.startswith("not built: ")
