"""Each purpose of the keyring has a key of its own: another key changes what that purpose makes, and nothing else."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from idp.citizens import person_key, subjects
from idp.citizens.credentials import hashing, throttle
from idp.citizens.lookup import number_index
from idp.core import user_codes
from idp.core.keyring import Key, Keyring, Place, Purpose, SealBroken
from idp.oidc import refresh_tokens, sid
from idp.oidc.refresh_tokens import RefreshToken
from idp.sso.views import csrf_token

ME = UUID(int=1)
HERE = Place("table", "column", "1")


def ring(changed: Purpose | None = None) -> Keyring:
    """Return a keyring whose keys all differ; the one of `changed` is another than in all other rings."""
    return Keyring(
        {
            purpose: (Key("k1", bytes([number + (100 if purpose is changed else 0)] * 32)),)
            for number, purpose in enumerate(Purpose)
        }
    )


@pytest.fixture(scope="module", autouse=True)
def cheap_hashes() -> Any:
    """Make hashes cheap: here only their key matters."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hashing, "PARAMETERS", hashing.Parameters(memory_kib=64, passes=1))
        patched.setattr(hashing.secrets, "token_bytes", bytes)
        yield


def _client() -> Any:
    return SimpleNamespace(id=UUID(int=2))


MADE: dict[str, tuple[Purpose, Callable[[Keyring], object]]] = {
    "index of a number": (Purpose.NUMBER_INDEX, lambda keys: number_index("vn-pin", "979191000001", keyring=keys)),
    "sub": (Purpose.SUBJECT, lambda keys: subjects.derive(ME, "portal.example", keyring=keys)),
    "sid": (Purpose.SUBJECT, lambda keys: sid.sid_of(ME, _client(), keys)),
    "counter of guesses": (Purpose.THROTTLE, lambda keys: throttle.key(throttle.PAIR, "citizen", keyring=keys)),
    "password": (Purpose.PEPPER, lambda keys: hashing.make("a password", owner=ME, keyring=keys)),
    "form": (Purpose.FORM, lambda keys: csrf_token(keys, "flow")),
    "user code": (Purpose.FORM, lambda keys: user_codes.index("BCDFGHJK", keyring=keys)),
    "refresh token": (Purpose.TOKEN, lambda keys: refresh_tokens.write(RefreshToken(ME, 1), keys)),
    "rate limit": (Purpose.LOG, lambda keys: keys.key(Purpose.LOG).material),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("changed", Purpose)
def test_another_key_changes_what_its_purpose_makes_and_nothing_else(name: str, changed: Purpose) -> None:
    purpose, make = MADE[name]
    assert (make(ring(changed)) != make(ring())) is (changed is purpose)


@pytest.mark.parametrize("changed", Purpose)
@pytest.mark.parametrize("purpose", [Purpose.DATA, Purpose.SIGNING])
def test_sealed_value_opens_with_the_key_of_its_purpose_alone(purpose: Purpose, changed: Purpose) -> None:
    value = ring().seal("x", HERE, purpose=purpose)
    if changed is purpose:
        with pytest.raises(SealBroken):
            ring(changed).unseal(value, HERE, purpose=purpose)
    else:
        assert ring(changed).unseal(value, HERE, purpose=purpose) == "x"


@pytest.mark.parametrize("changed", Purpose)
def test_own_key_of_a_person_is_wrapped_under_data_alone(changed: Purpose) -> None:
    mine = person_key.PersonKey(ME, person_key.new(ME, ring()), ring())
    value = mine.seal("x", HERE)
    other = person_key.PersonKey(ME, mine.wrapped, ring(changed))
    if changed is Purpose.DATA:
        with pytest.raises(SealBroken):
            other.unseal(value, HERE)
    else:
        assert other.unseal(value, HERE) == "x"
