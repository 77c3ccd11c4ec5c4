"""Identifiers, levels, scopes and log lines."""

import hashlib
import io
import json
import logging
from collections.abc import Iterator

import pytest

from idp.core import ids, scopes
from idp.core import logging as ours
from idp.core.levels import ACR_VALUES, Level, level_of, lowest


def test_row_keys_are_version_7_and_in_order_when_made() -> None:
    made = [ids.new_id() for _ in range(1_000)]
    assert {(key.version, key.variant) for key in made} == {(7, "specified in RFC 4122")}
    assert len(set(made)) == 1_000
    assert [key.int >> 80 for key in made] == sorted(key.int >> 80 for key in made)


def test_secrets_have_their_strength_when_made() -> None:
    assert {len(ids.new_secret()) for _ in range(50)} == {43}
    assert {len(ids.new_handle()) for _ in range(50)} == {22}
    assert len({ids.new_secret() for _ in range(1_000)}) == 1_000
    assert not set("".join(ids.new_reference() for _ in range(200))) & set("ILOU")


def test_a_digest_is_plain_sha_256_when_taken() -> None:
    assert ids.digest("x") == hashlib.sha256(b"x").digest()
    assert ids.digest("\udcff") != ids.digest("?")
    assert ids.is_same(ids.digest("x"), ids.digest("x"))
    assert not ids.is_same(ids.digest("x"), ids.digest("y"))


@pytest.mark.parametrize("name", ["loa2", "LoA2", "LOA2", "eidas2", "EIDAS2"])
def test_a_level_is_known_when_named_by_any_alias(name: str) -> None:
    assert level_of(name) is Level.LOA2


def test_the_lowest_known_level_counts_when_several_are_asked() -> None:
    assert lowest(["loa3", "nonsense", "eidas2"]) is Level.LOA2
    assert lowest(["nonsense", "loa0", "loa4", ""]) is None
    assert lowest([]) is None
    assert ACR_VALUES == ("loa1", "loa2", "loa3")


def test_scopes_stand_for_distinct_claims_when_combined() -> None:
    assert scopes.claims_of(["openid"]) == ()
    assert scopes.claims_of(["unknown"]) == ()
    both = scopes.claims_of(["name", "profile"])
    assert both == scopes.claims_of(["profile", "name"]) == scopes.claims_of(["profile"])
    assert len(set(both)) == len(both)
    assert scopes.claims_of(scopes.SCOPES) == scopes.PERSON_CLAIMS


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Yield what is logged, and put the root logger back afterwards."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ours._QUIET}
    ours.configure("DEBUG")
    yield stream
    root.handlers[:], root.level = before
    for name, level in quiet.items():
        logging.getLogger(name).setLevel(level)


def test_only_known_members_are_written_when_logged(lines: io.StringIO) -> None:
    ours.set_reference("ABCDE23456")
    logging.getLogger("idp.test").info("said", extra={"status": 200, "number": "001099000001", "token": "Geheim1"})
    ours.set_reference(None)
    line = json.loads(lines.getvalue())
    assert line["reference"] == "ABCDE23456"
    assert line["status"] == 200
    assert set(line) == {"at", "level", "logger", "message", "status", "reference"}


def test_no_input_is_written_when_an_exception_quotes_it(lines: io.StringIO) -> None:
    try:
        int("Geheim1")
    except ValueError:
        logging.getLogger("idp.test").exception("failed")
    assert "Geheim1" not in lines.getvalue()
    line = json.loads(lines.getvalue())
    assert line["exception"] == "ValueError"
    assert "test_words.py" in line["trace"][0]


def test_arguments_stay_out_when_our_own_code_formats_them(lines: io.StringIO) -> None:
    logging.getLogger("idp.test").warning("refused %s", "Geheim1\n{}")
    assert "Geheim1" not in lines.getvalue()
    assert lines.getvalue().count("\n") == 1


def test_libraries_are_quiet_when_they_would_print_tokens(lines: io.StringIO) -> None:
    for name in ours._QUIET:
        logging.getLogger(f"{name}.deep").debug("Issue token Geheim1")
    assert lines.getvalue() == ""
