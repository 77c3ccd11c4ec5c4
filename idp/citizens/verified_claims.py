"""Verified claims: values of a person told with how they were verified (OpenID Connect for Identity Assurance 1.0).

Owns the words of our trust framework, the form in which a wish for verified claims is kept, and its fulfilment. Leaves
to oidc how a wish is read and where the answer goes. Only what the register confirmed is told so, and while its last
word stands; which identity provider a person came by is never part of it.

A wish is kept beside the names of plain claims, as one word without blanks: JSON in which values that a claim must have
are keyed digests, because such texts are not sealed.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from idp.citizens import assurance
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.claims import Profile, Source, source_of
from idp.core import clock
from idp.core.keyring import Keyring, Purpose
from idp.core.levels import Level
from idp.core.scopes import PERSON_CLAIMS

# None is registered for Viet Nam; the name is ours, docs/connect-an-agency.md says what it stands for.
TRUST_FRAMEWORK: Final = "vn-eid-69-2024"
EVIDENCE: Final = "electronic_record"
RECORD: Final = "population_register"
CLAIMS: Final = tuple(name for name in PERSON_CLAIMS if source_of(name) is Source.REGISTER)
_REGISTER: Final = {"name": "Cơ sở dữ liệu quốc gia về dân cư", "country_code": "VNM"}
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_SIGN_OF_WISH: Final = "{"


class _UnmetError(Exception):
    """What is known is not what a wish demands."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One element of `verified_claims` that a client asks for.

    `verification` is as the client sent it. `claims` maps each claim to the digests of the values it may have, None for
    any.
    """

    verification: Mapping[str, Any]
    claims: Mapping[str, list[str] | None]

    def word(self) -> str:
        """Return the form in which the wish is kept among names of claims."""
        document = {"claims": dict(self.claims), "verification": dict(self.verification)}
        # All other blanks are escaped by JSON itself.
        return json.dumps(document, separators=(",", ":"), sort_keys=True).replace(" ", "\\u0020")


@dataclass(frozen=True, slots=True)
class Verification:
    """How far an account is verified: the proofing, the register's last word, and when it came."""

    proofing: Proofing
    registry_status: RegistryStatus
    registry_checked_at: datetime | None

    def document(self) -> dict[str, Any] | None:
        """Return all that can be told of it, in the shape of the specification; None when nothing is verified.

        `assurance_level` is the highest level that the identity supports, whatever the sign-in proved.
        """
        level = assurance.level_of_identity(self.proofing, self.registry_status)
        if level is Level.NONE or self.registry_checked_at is None:
            return None
        time = self.registry_checked_at.astimezone(UTC).strftime(_TIME)
        record = {"type": RECORD, "source": _REGISTER}
        return {
            "trust_framework": TRUST_FRAMEWORK,
            "assurance_level": level.acr,
            "time": time,
            "evidence": [{"type": EVIDENCE, "time": time, "record": record}],
        }


def names(words: Iterable[str]) -> frozenset[str]:
    """Return the claims that `words` name, plainly or inside a wish."""
    found: set[str] = set()
    for word in words:
        found.update(_read(word).claims if word.startswith(_SIGN_OF_WISH) else [word])
    return frozenset(found)


def narrowed(words: Iterable[str], allowed: Iterable[str]) -> Iterator[str]:
    """Return what of `words` is left when only `allowed` claims may be sent."""
    kept = frozenset(allowed)
    for word in words:
        if not word.startswith(_SIGN_OF_WISH):
            if word in kept:
                yield word
            continue
        wish = _read(word)
        claims = {name: digests for name, digests in wish.claims.items() if name in kept}
        if claims:
            yield Wish(wish.verification, claims).word()


def wishes(words: Iterable[str]) -> list[Wish]:
    """Return the wishes among `words`."""
    return [_read(word) for word in words if word.startswith(_SIGN_OF_WISH)]


def _read(word: str) -> Wish:
    document = json.loads(word)
    return Wish(document["verification"], document["claims"])


def digest_of(name: str, value: Any, *, client_id: str, keyring: Keyring) -> str:
    """Return what is kept of a value that a client demands of a claim: the same value of another client has another."""
    return urlsafe_b64encode(keyring.hmac(Purpose.TOKEN, _demand(name, value, client_id))).decode().rstrip("=")


def _demand(name: str, value: Any, client_id: str) -> bytes:
    return b"demanded claim " + json.dumps([client_id, name, value], sort_keys=True).encode()


def fulfil(
    wish: Wish, profile: Profile, verification: Verification, *, client_id: str, keyring: Keyring
) -> dict[str, Any] | None:
    """Return the element of `verified_claims` for `wish`; None when nothing is verified or it demands something else.

    Of the verification it has what was asked, and the trust framework always. Claims that the person does not have, or
    not with the value demanded, are left out.
    """
    known = verification.document()
    if known is None:
        return None
    claims = {
        name: profile.claims[name]
        for name, digests in wish.claims.items()
        if name in profile.claims
        and (digests is None or _is_one_of(name, profile.claims[name], digests, client_id=client_id, keyring=keyring))
    }
    try:
        told = _told({"trust_framework": None, **wish.verification}, known)
    except _UnmetError:
        return None
    return {"verification": told, "claims": claims} if claims else None


def _is_one_of(name: str, value: Any, digests: list[str], *, client_id: str, keyring: Keyring) -> bool:
    message = _demand(name, value, client_id)
    return any(keyring.fits(Purpose.TOKEN, message, digest) for digest in digests)


def _told(wish: Any, known: Any) -> Any:
    """Return what `wish` asks of `known`, an element of the verification; raise when a demand in it is not met."""
    if isinstance(known, list):
        return _one_told(wish if isinstance(wish, list) and wish else [wish], known)
    if not _is_met(wish, known):
        raise _UnmetError
    if isinstance(known, Mapping) and isinstance(wish, Mapping) and wish:
        # Evidence and records are nothing without their type.
        asked = {name: None for name in ("type",) if name in known} | dict(wish)
        told = {name: _told(inner, known.get(name)) for name, inner in asked.items()}
        return {name: value for name, value in told.items() if value is not None}
    return known


def _one_told(wishes: list[Any], known: list[Any]) -> list[Any]:
    """Return the entries of `known` that meet one of `wishes` (5.4); there must be one."""
    told = []
    for entry in known:
        for wish in wishes:
            try:
                told.append(_told(wish, entry))
                break
            except _UnmetError:
                continue
    if not told:
        raise _UnmetError
    return told


def _is_met(wish: Any, known: Any) -> bool:
    """Tell whether `known`, None for what there is not, is what `wish` demands (5.5 and 5.7.4)."""
    if isinstance(wish, list):
        return all(_is_met(inner, known) for inner in wish)
    if not isinstance(wish, Mapping):
        return True
    if "value" in wish and wish["value"] != known:
        return False
    if "values" in wish and not (isinstance(wish["values"], list) and known in wish["values"]):
        return False
    if "max_age" in wish and not _is_young(known, wish["max_age"]):
        return False
    # Of what is not known, anything demanded inside is unmet too.
    return known is not None or all(_is_met(inner, None) for inner in wish.values() if isinstance(inner, dict | list))


def _is_young(known: Any, seconds: Any) -> bool:
    """Tell whether a time is at most `seconds` ago."""
    if not isinstance(known, str) or not isinstance(seconds, int | float):
        return False
    try:
        return clock.now() - datetime.strptime(known, _TIME).replace(tzinfo=UTC) <= timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return False
