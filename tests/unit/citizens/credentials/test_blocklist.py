"""The operator's list: whatever the form and order of the lines, each password on it is found and no other."""

import hashlib
from pathlib import Path

import pytest

from idp.citizens.credentials import blocklist
from idp.citizens.credentials.blocklist import BlocklistRefused


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest()


def test_every_line_is_found_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocklist, "_RUN", 100)
    plain = [f"mật khẩu {number}" for number in range(500)]
    hashed = [f"{sha1(f'hash {number}').upper()}:{number}" for number in range(500)]
    lines = [f"{line}\r\n".encode() for line in [*plain, *hashed, sha1("bare"), "", plain[0]]]
    assert blocklist.build(lines, tmp_path / "list") == 1_001
    held = [*plain, *(f"hash {number}" for number in range(500)), "bare"]
    assert all(blocklist.holds(tmp_path / "list", password) for password in held)
    assert not any(blocklist.holds(tmp_path / "list", f"not {number}") for number in range(500))
    assert (tmp_path / "list").stat().st_size == 16 + 8 * 1_001
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


def test_empty_list_holds_nothing(tmp_path: Path) -> None:
    assert blocklist.build([], tmp_path / "list") == 0
    assert not blocklist.holds(tmp_path / "list", "x")


def test_line_that_is_no_text_is_a_password_of_those_bytes(tmp_path: Path) -> None:
    assert blocklist.build([b"\xff\xfe\n"], tmp_path / "list") == 1


@pytest.mark.parametrize("broken", [b"", b"x" * 16, b"LKPWLST1" + bytes(7) + b"\x02" + bytes(8)])
def test_half_a_list_is_none(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "list").write_bytes(broken)
    with pytest.raises((BlocklistRefused, ValueError)):
        blocklist.holds(tmp_path / "list", "x")
    with pytest.raises(BlocklistRefused):
        blocklist.summary(tmp_path / "list")
