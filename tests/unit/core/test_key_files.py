"""The keyring's files change in steps that lose nothing: prepared, writing, retired; whole, private, one at a time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from idp.core import key_files, keyring
from idp.core.key_files import RotationRefused
from idp.core.keyring import KeyringRefused, Place, Purpose, SealBroken

HERE = Place("citizen", "profile", "1")


def ids(directory: Path, purpose: Purpose = Purpose.DATA) -> tuple[str, ...]:
    return keyring.load(directory, is_production=True).key_ids(purpose)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    keyring.create(tmp_path)
    return tmp_path


def test_new_key_reads_before_it_writes(directory: Path) -> None:
    before = keyring.load(directory, is_production=True)
    old_value = before.seal("x", HERE)
    assert key_files.prepare(directory, Purpose.DATA) == "k2"
    assert ids(directory) == ("k1", "k2")
    prepared = keyring.load(directory, is_production=True)
    key_files.promote(directory, Purpose.DATA, "k2")
    assert ids(directory) == ("k2", "k1")
    writing = keyring.load(directory, is_production=True)
    new_value = writing.seal("y", HERE)
    # The worker that was restarted after the first step only reads what the second step writes, and the other way.
    assert prepared.unseal(new_value, HERE) == "y"
    assert writing.unseal(prepared.seal("z", HERE), HERE) == "z"
    with pytest.raises(SealBroken):
        before.unseal(new_value, HERE)
    key_files.retire(directory, Purpose.DATA, "k1")
    assert ids(directory) == ("k2",)
    with pytest.raises(SealBroken):
        keyring.load(directory, is_production=True).unseal(old_value, HERE)
    assert key_files.prepare(directory, Purpose.DATA) == "k3"


def test_files_stay_private_and_other_purposes_as_they_were(directory: Path) -> None:
    others = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "data.keys"}
    key_files.prepare(directory, Purpose.DATA)
    assert (directory / "data.keys").stat().st_mode & 0o777 == 0o600
    assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "data.keys"} == others


def test_step_that_is_not_the_next_one_is_refused(directory: Path) -> None:
    with pytest.raises(RotationRefused, match="no key k2"):
        key_files.promote(directory, Purpose.DATA, "k2")
    with pytest.raises(RotationRefused, match="rotate first"):
        key_files.retire(directory, Purpose.DATA, "k1")
    key_files.prepare(directory, Purpose.DATA)
    with pytest.raises(RotationRefused, match="--write k2"):
        key_files.prepare(directory, Purpose.DATA)
    with pytest.raises(RotationRefused, match="no key k7"):
        key_files.retire(directory, Purpose.DATA, "k7")
    assert ids(directory) == ("k1", "k2")
    with pytest.raises(KeyringRefused):
        key_files.prepare(directory / "nowhere", Purpose.DATA)


def test_two_operators_at_the_same_time_make_one_key(directory: Path) -> None:
    def prepare() -> str:
        try:
            return key_files.prepare(directory, Purpose.DATA)
        except RotationRefused:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        outcomes = [future.result() for future in [pool.submit(prepare) for _ in range(8)]]
    assert sorted(outcomes) == ["k2", *["refused"] * 7]
    assert ids(directory) == ("k1", "k2")


def test_file_stays_as_it_was_when_it_is_broken(directory: Path) -> None:
    (directory / "data.keys").write_text("k1 short\n")
    with pytest.raises(KeyringRefused):
        key_files.prepare(directory, Purpose.DATA)
    assert (directory / "data.keys").read_text() == "k1 short\n"
    assert [path.name for path in directory.iterdir() if not path.name.endswith(".keys")] == []


def test_names_of_other_makers_are_left_alone(directory: Path) -> None:
    line = (directory / "data.keys").read_text().partition(" ")[2]
    (directory / "data.keys").write_text(f"spring {line}")
    assert key_files.prepare(directory, Purpose.DATA) == "k1"
    key_files.promote(directory, Purpose.DATA, "k1")
    assert ids(directory) == ("k1", "spring")


def test_form_made_under_any_key_fits(directory: Path) -> None:
    key_files.prepare(directory, Purpose.FORM)
    first = keyring.load(directory, is_production=True)
    key_files.promote(directory, Purpose.FORM, "k2")
    second = keyring.load(directory, is_production=True)
    for ours, theirs in ((first, second), (second, first)):
        token = keyring._encode(ours.hmac(Purpose.FORM, b"page"))
        assert theirs.fits(Purpose.FORM, b"page", token)
        assert not theirs.fits(Purpose.FORM, b"other page", token)
        assert not theirs.fits(Purpose.FORM, b"page", "")
        assert not theirs.fits(Purpose.FORM, b"page", "é")
