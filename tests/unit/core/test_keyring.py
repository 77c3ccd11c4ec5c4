"""The keyring: values open in their place only, files are refused when weak, keys rotate without loss."""

from pathlib import Path

import pytest

from idp.core import keyring
from idp.core.keyring import Keyring, KeyringRefused, Place, Purpose, SealBroken

HERE = Place("citizen", "profile", "1")


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    keyring.create(tmp_path / "s")
    return keyring.load(tmp_path / "s", is_production=True)


def test_a_value_opens_when_it_is_where_it_was_sealed(ring: Keyring) -> None:
    sealed = ring.seal("Nguyễn Văn Ánh", HERE)
    assert ring.unseal(sealed, HERE) == "Nguyễn Văn Ánh"
    assert ring.seal("Nguyễn Văn Ánh", HERE) != sealed
    assert "Nguy" not in sealed


@pytest.mark.parametrize(
    "place", [Place("citizen", "profile", "2"), Place("citizen", "number", "1"), Place("other", "profile", "1")]
)
def test_a_value_stays_shut_when_moved(ring: Keyring, place: Place) -> None:
    with pytest.raises(SealBroken):
        ring.unseal(ring.seal("x", HERE), place)


def test_a_value_stays_shut_when_altered_or_of_another_purpose(ring: Keyring) -> None:
    sealed = ring.seal("x", HERE)
    version, key_id, body = sealed.split(".")
    swapped = "B" if body[5] == "A" else "A"
    for broken in (
        f"{version}.{key_id}.{body[:5]}{swapped}{body[6:]}",
        f"{version}.other.{body}",
        f"v2.{key_id}.{body}",
        f"{version}.{key_id}.",
        f"{version}.{key_id}.!!",
        "",
        "x",
    ):
        with pytest.raises(SealBroken):
            ring.unseal(broken, HERE)
    with pytest.raises(SealBroken):
        ring.unseal(sealed, HERE, purpose=Purpose.SIGNING)


def test_old_values_open_when_a_new_key_writes(tmp_path: Path) -> None:
    keyring.create(tmp_path)
    old = keyring.load(tmp_path, is_production=True)
    sealed, index = old.seal("x", HERE), old.hmac(Purpose.NUMBER_INDEX, b"x")
    for purpose in (Purpose.DATA, Purpose.NUMBER_INDEX):
        file = tmp_path / f"{purpose}.keys"
        keyring.create(tmp_path / "new")
        fresh = (tmp_path / "new" / f"{purpose}.keys").read_text().replace("k1", "k2")
        file.write_text(fresh + file.read_text())
    new = keyring.load(tmp_path, is_production=True)
    assert new.key_ids(Purpose.DATA) == ("k2", "k1")
    assert new.unseal(sealed, HERE) == "x"
    assert new.seal("x", HERE).startswith("v1.k2.")
    assert new.hmac(Purpose.NUMBER_INDEX, b"x") != index
    assert new.hmac(Purpose.NUMBER_INDEX, b"x", key_id="k1") == index


def test_purposes_have_keys_of_their_own_when_made(ring: Keyring) -> None:
    assert len({ring.key(purpose).material for purpose in Purpose}) == len(Purpose)
    assert ring.key(Purpose.DATA).material.hex() not in repr(ring)


def test_existing_files_are_kept_when_made_again(tmp_path: Path) -> None:
    assert keyring.create(tmp_path) == tuple(Purpose)
    (tmp_path / "log.keys").unlink()
    before = (tmp_path / "data.keys").read_bytes()
    assert keyring.create(tmp_path) == (Purpose.LOG,)
    assert (tmp_path / "data.keys").read_bytes() == before
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content",
    ["", "k1\n", "k1 AAAA\n", f"k1 {'A' * 43}\n", "k1 not/base64url!\n", f"k.1 {'q80Dh7' * 7}A\n", "é x\n", "DOUBLE"],
)
def test_a_key_file_is_refused_when_weak(tmp_path: Path, content: str) -> None:
    keyring.create(tmp_path)
    file = tmp_path / "data.keys"
    file.write_text(file.read_text() * 2 if content == "DOUBLE" else content, "utf-8")
    with pytest.raises(KeyringRefused, match=r"data\.keys"):
        keyring.load(tmp_path, is_production=False)


def test_a_keyring_is_refused_when_missing_or_open_to_others(tmp_path: Path) -> None:
    with pytest.raises(KeyringRefused, match="secrets init"):
        keyring.load(tmp_path / "nowhere", is_production=True)
    assert keyring.load(tmp_path, is_production=False)
    (tmp_path / "data.keys").chmod(0o640)
    assert keyring.load(tmp_path, is_production=False)
    with pytest.raises(KeyringRefused, match="chmod 600"):
        keyring.load(tmp_path, is_production=True)
    (tmp_path / "data.keys").unlink()
    with pytest.raises(KeyringRefused, match="is missing"):
        keyring.load(tmp_path, is_production=True)
