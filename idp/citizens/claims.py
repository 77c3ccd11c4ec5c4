"""The claims of a citizen: the sealed profile, what of it is released, and how a person reads it.

Owns the values and their forms. Leaves to core.scopes which claims exist, to sso what a citizen agreed to. An absent
claim is left out, never sent empty or null (OpenID Connect Core 1.0, 5.3.2). Family and given name exist only as
somebody who knows gave them; a full name is never split.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from idp.citizens import birthdate, numbers, person_key
from idp.citizens.birthdate import BirthDate
from idp.citizens.models import Citizen, profile_place
from idp.citizens.person_key import PersonKey
from idp.core.keyring import Keyring, SealBroken

# As an envelope is written, from the street to the country.
ADDRESS_MEMBERS: Final = ("formatted", "street_address", "locality", "region", "postal_code", "country")
# Message ids of the catalogues for values that are words of ours rather than of the person.
_GENDERS: Final = {"female": "gender.female", "male": "gender.male"}
_YES_NO: Final = {True: "value.yes", False: "value.no"}


class Source(StrEnum):
    """Where values of a claim come from: the word of the register, the citizen's own, or the record of the account."""

    REGISTER = "register"
    CITIZEN = "citizen"
    RECORD = "record"


_SOURCES: Final = {
    # The parts of a name are kept as far as the register's spelling holds them.
    **dict.fromkeys(("name", "family_name", "middle_name", "given_name", "birthdate"), Source.REGISTER),
    **dict.fromkeys(("identification_number", "identification_number_scheme"), Source.REGISTER),
    **dict.fromkeys(("email", "email_verified", "phone_number", "phone_number_verified"), Source.CITIZEN),
}


def source_of(claim: str) -> Source:
    """Return where the values of `claim` come from.

    Only what the register confirms becomes an account, in the register's spelling; contact data are the citizen's, as
    far as a code proved them; all else is what officers, documents or identity providers wrote into the record.
    """
    return _SOURCES.get(claim, Source.RECORD)


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything an account knows about a person.

    `claims` maps claim name to JSON value and holds `name`, `birthdate`, `identification_number`,
    `identification_number_scheme` and `updated_at` always. `birth` keeps a month that `birthdate` cannot say.
    """

    claims: Mapping[str, Any] = field(repr=False)
    birth: BirthDate = field(repr=False)

    @property
    def full_name(self) -> str:
        """Return the full name, as registered."""
        return str(self.claims["name"])

    @property
    def number(self) -> str:
        """Return the canonical number."""
        return str(self.claims["identification_number"])

    @property
    def scheme(self) -> str:
        """Return the name of the number's scheme."""
        return str(self.claims["identification_number_scheme"])


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of a value on a page: the `text` itself, or, when `is_message`, a message id to translate."""

    text: str = field(repr=False)
    is_message: bool = False


def seal_profile(profile: Profile, key: PersonKey) -> str:
    """Return the stored form of `profile`, openable with this citizen's key only."""
    document = {"birth": profile.birth.iso(), "claims": dict(profile.claims)}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return key.seal(text, profile_place(key.citizen_id))


def open_profile(sealed: str, key: PersonKey) -> Profile:
    """Read a stored profile. Raises SealBroken for one that was altered, belongs to somebody else, or was erased."""
    document = json.loads(key.unseal(sealed, profile_place(key.citizen_id)))
    try:
        return Profile(claims=document["claims"], birth=birthdate.parse(document["birth"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SealBroken(f"citizen.profile: {type(error).__name__}") from None


def profile_of(citizen: Citizen, keyring: Keyring) -> Profile:
    """Read the profile of an account that was loaded. Raises SealBroken."""
    return open_profile(citizen.profile, person_key.of(citizen, keyring))


def release(profile: Profile, names: Iterable[str]) -> dict[str, Any]:
    """Return the claims of `names` this person has, in the order of `names`."""
    return {name: profile.claims[name] for name in names if name in profile.claims}


def display(name: str, value: Any, *, language: str) -> list[Shown]:
    """Return a released claim as a person reads it, one entry a line.

    Dates are dd/mm/yyyy or the year, numbers grouped, an address from the street to the country. What is shown is
    what is sent: nothing is left out, and an unknown claim appears as it is.
    """
    if isinstance(value, bool):
        return [Shown(_YES_NO[value], is_message=True)]
    if name == "gender" and value in _GENDERS:
        return [Shown(_GENDERS[value], is_message=True)]
    if name == "birthdate":
        return [Shown(birthdate.parse(value).display(language))]
    if name == "identification_number":
        return [Shown(_grouped(value))]
    if name == "identification_number_scheme" and value == numbers.VN_PIN:
        return [Shown("value.scheme-vn-pin", is_message=True)]
    if name == "updated_at":
        return [Shown(_day(value, language))]
    if isinstance(value, Mapping):
        return [Shown(line) for line in _lines(value)]
    if isinstance(value, list | tuple):
        return [Shown(str(entry)) for entry in value]
    return [Shown(str(value))]


def _grouped(number: str) -> str:
    # Vietnamese numbers are the ones people know in groups; any other is shown as it is stored.
    try:
        return numbers.scheme(numbers.VN_PIN, test_numbers=True).display(number)
    except numbers.NumberUnreadable:
        return number


def _day(seconds: int, language: str) -> str:
    day = datetime.fromtimestamp(seconds, UTC)
    return BirthDate(day.year, day.month, day.day).display(language)


def _lines(value: Mapping[str, Any]) -> list[str]:
    ordered = [name for name in ADDRESS_MEMBERS if name in value] + [
        name for name in value if name not in ADDRESS_MEMBERS
    ]
    lines: list[str] = []
    for name in ordered:
        for line in str(value[name]).splitlines():
            # An agency gets `formatted` and the parts; a person reads each of them once.
            if line.strip() and not any(line.strip() in shown for shown in lines):
                lines.append(line.strip())
    return lines
