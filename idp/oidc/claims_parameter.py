"""The `claims` parameter (OpenID Connect Core 1.0, 5.5), with `verified_claims` (Identity Assurance 1.0) in it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from idp.agencies.clients import Client
from idp.citizens import verified_claims
from idp.citizens.numbers import VN_PIN
from idp.citizens.verified_claims import Wish
from idp.core import errors
from idp.core.errors import ProtocolFailure
from idp.core.keyring import Keyring
from idp.core.scopes import claims_of
from idp.sso.services import Services

DEEPEST = 20
LONGEST_WISHES = 4_096
_VERIFIED = "verified_claims"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for UserInfo or for the ID token: `plain` claims with their members, and wishes for verified ones.

    `wishes` are the entries as sent; each has the members `verification` and `claims`, both objects of objects.
    """

    plain: Mapping[str, dict[str, Any]]
    wishes: tuple[Mapping[str, Any], ...]


def read(text: str) -> Mapping[str, Asked]:
    """Return what is asked, by `userinfo` and `id_token`; members nobody knows are ignored. Raises ProtocolFailure."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolFailure(errors.CLAIMS_INVALID) from None
    if not isinstance(document, dict) or _depth(text) > DEEPEST:
        raise ProtocolFailure(errors.CLAIMS_INVALID)
    return {where: _asked(document[where]) for where in ("userinfo", "id_token") if document.get(where) is not None}


def _asked(members: Any) -> Asked:
    if not isinstance(members, dict):
        raise ProtocolFailure(errors.CLAIMS_INVALID)
    plain = {name: value for name, value in members.items() if name != _VERIFIED}
    _check_objects(plain)
    entries = members.get(_VERIFIED)
    wishes = entries if isinstance(entries, list) else [] if entries is None else [entries]
    for entry in wishes:
        if not isinstance(entry, dict):
            raise ProtocolFailure(errors.CLAIMS_INVALID)
        _check_objects(entry.get("claims"))
        _check_objects(entry.get("verification"), lists=("evidence",))
    return Asked({name: value or {} for name, value in plain.items()}, tuple(wishes))


def _check_objects(members: Any, *, lists: tuple[str, ...] = ()) -> None:
    """Check that `members` is an object of objects or nulls; those named in `lists` may be lists of such."""
    if not isinstance(members, dict):
        raise ProtocolFailure(errors.CLAIMS_INVALID)
    for name, value in members.items():
        for entry in value if name in lists and isinstance(value, list) else [value]:
            if not isinstance(entry, dict | None):
                raise ProtocolFailure(errors.CLAIMS_INVALID)


def _depth(text: str) -> int:
    deepest = depth = 0
    for sign in text:
        if sign in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "}]":
            depth -= 1
    return deepest


def words(asked: Asked, client: Client, *, provider: Services) -> frozenset[str]:
    """Return what of `asked` the client may have, as it is kept: names, and a word for each wish for verified claims.

    Raises ProtocolFailure when the wishes are too long to keep.
    """
    allowed = frozenset(claims_of(client.scopes))
    names = asked.plain.keys() & allowed
    if provider.settings.number_scheme != VN_PIN:
        return frozenset(names)
    wishes = {wish.word() for wish in _wishes(asked, allowed, client, provider.keyring) if wish.claims}
    if sum(map(len, wishes)) > LONGEST_WISHES:
        raise ProtocolFailure(errors.PARAMETER_TOO_LONG)
    return frozenset(names | wishes)


def _wishes(asked: Asked, allowed: frozenset[str], client: Client, keyring: Keyring) -> Iterator[Wish]:
    for entry in asked.wishes:
        claims = {
            name: _demanded(name, member or {}, client, keyring)
            for name, member in entry["claims"].items()
            if name in allowed and name in verified_claims.CLAIMS
        }
        yield Wish(entry["verification"], claims)


def _demanded(name: str, member: Mapping[str, Any], client: Client, keyring: Keyring) -> list[str] | None:
    if "value" in member:
        values = [member["value"]]
    elif isinstance(member.get("values"), list):
        values = member["values"]
    else:
        return None
    return [verified_claims.digest_of(name, value, client_id=client.client_id, keyring=keyring) for value in values]
