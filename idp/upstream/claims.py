"""From a provider's claims to the person it names: number, name, birth date, gender.

Each fact may stand under several names (the record says which), as plain claims or inside `verified_claims` (OpenID
Connect for Identity Assurance 1.0), in the forms of OpenID Connect or of the national register's messages. A provider
that vouches under a trust framework is believed in what stands under it and in nothing beside it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idp.citizens import birthdate, names, numbers
from idp.citizens.birthdate import BirthDate, BirthDateRefused
from idp.citizens.claims import Profile
from idp.citizens.names import NameRefused
from idp.citizens.numbers import Gender, NumberUnreadable
from idp.core import clock
from idp.core.settings import Settings
from idp.upstream.record import Provider
from idp.upstream.refusal import Reason, UpstreamRefused

# The national messages write 20/05/1960 and 19600520 beside 1960-05-20; a year alone is what old people know.
_DAY_FIRST = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_GENDERS = {"male": Gender.MALE, "1": Gender.MALE, "female": Gender.FEMALE, "2": Gender.FEMALE}
_NAME_PARTS = ("Ho", "ChuDem", "Ten")
_BIRTH_PARTS = ("NgayThangNam", "Nam")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a provider named; `number` is canonical."""

    scheme: str
    number: str = field(repr=False)
    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)
    gender: Gender | None = field(repr=False)

    def profile(self) -> Profile:
        """Return the person as a profile."""
        claims = {
            "name": self.full_name,
            "birthdate": self.birth.claim(),
            "identification_number": self.number,
            "identification_number_scheme": self.scheme,
        }
        return Profile(claims | ({"gender": self.gender.value} if self.gender else {}), self.birth)


def person_of(claims: Mapping[str, Any], *, provider: Provider, settings: Settings) -> Person:
    """Return the person in `claims`. Raises UpstreamRefused CLAIMS when a fact is missing or cannot be read."""
    facts = _vouched(claims, provider)
    scheme = facts.get("identification_number_scheme", settings.number_scheme)
    if scheme != settings.number_scheme:
        raise UpstreamRefused(Reason.CLAIMS)
    try:
        reading = numbers.scheme(scheme, test_numbers=settings.is_sandbox).read(
            _text(_first(facts, provider, "number")), on=clock.now().date()
        )
        if reading.test_number and not settings.is_sandbox:
            raise UpstreamRefused(Reason.CLAIMS)
        full_name = names.clean(
            _joined(_first(facts, provider, "name")), vietnamese=settings.number_scheme == numbers.VN_PIN
        )
        birth = _birth(_first(facts, provider, "birthdate"))
    except (NumberUnreadable, NameRefused, BirthDateRefused):
        raise UpstreamRefused(Reason.CLAIMS) from None
    gender = _GENDERS.get(str(_first(facts, provider, "gender")))
    return Person(settings.number_scheme, reading.number, full_name, birth, gender)


def _vouched(claims: Mapping[str, Any], provider: Provider) -> Mapping[str, Any]:
    """Return the claims that count: all, or those that stand under one of the provider's trust frameworks."""
    if not provider.trust_frameworks:
        return claims
    given = claims.get("verified_claims")
    for each in given if isinstance(given, list) else [given]:
        if not isinstance(each, Mapping):
            continue
        verification, inner = each.get("verification"), each.get("claims")
        if (
            isinstance(verification, Mapping)
            and verification.get("trust_framework") in provider.trust_frameworks
            and isinstance(inner, Mapping)
        ):
            return inner
    raise UpstreamRefused(Reason.CLAIMS)


def _first(facts: Mapping[str, Any], provider: Provider, fact: str) -> Any:
    return next((facts[name] for name in provider.claims[fact] if facts.get(name) not in (None, "")), None)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        # A number without quotes has lost its leading zeros.
        raise UpstreamRefused(Reason.CLAIMS)
    return value.strip()


def _joined(value: Any) -> str:
    if isinstance(value, Mapping):
        value = " ".join(str(value[part]) for part in _NAME_PARTS if value.get(part))
    return _text(value)


def _birth(value: Any) -> BirthDate:
    if isinstance(value, Mapping):
        value = next((value[part] for part in _BIRTH_PARTS if value.get(part)), None)
    text = _text(value)
    if found := _DAY_FIRST.fullmatch(text):
        text = f"{found[3]}-{found[2]}-{found[1]}"
    elif found := _COMPACT.fullmatch(text):
        text = "-".join(found.groups())
    return birthdate.parse(text)
