"""The value of one synthetic citizen, and the document an import reads it from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import VN_PIN, Gender


class Standing(Enum):
    """Say what the register answers about a persona."""

    CURRENT = "current"
    DECEASED = "deceased"
    LOCKED = "locked"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Persona:
    """Hold one invented citizen.

    `key` is unique and speaks to developers, `note` says what the persona is for. `phone_number` is E.164,
    `totp_secret` base32 of 160 bits, None where there is no second factor. `level` is loa1, loa2 or loa3. With
    REPLACED, `number` is the old number and `replaced_by` the one the register holds now. `claims` are further
    standard claims (OpenID Connect Core 1.0, 5.1).
    """

    key: str
    number: str
    full_name: str
    birthdate: BirthDate
    gender: Gender | None
    password: str
    level: str
    note: str = ""
    scheme: str = VN_PIN
    email: str | None = None
    phone_number: str | None = None
    totp_secret: str | None = None
    standing: Standing = Standing.CURRENT
    replaced_by: str | None = None
    claims: Mapping[str, object] = field(default_factory=dict, hash=False)

    def document(self) -> dict[str, object]:
        """Return the citizen document that `idp citizens import` reads; what is unknown is left out.

        Its `register` member, for sandboxes only, makes the embedded register answer as the standing says.
        """
        members: dict[str, object | None] = {
            "scheme": self.scheme,
            "number": self.number,
            "full_name": self.full_name,
            "birthdate": self.birthdate.iso(),
            "gender": None if self.gender is None else self.gender.value,
            "email": self.email,
            "phone_number": self.phone_number,
            "password": self.password,
            "totp_secret": self.totp_secret,
            "level": self.level,
            "register": self._register(),
        }
        return {name: value for name, value in members.items() if value is not None} | dict(self.claims)

    def _register(self) -> dict[str, str] | None:
        if self.standing is Standing.CURRENT:
            return None
        return {"outcome": self.standing.value} | ({"replaced_by": self.replaced_by} if self.replaced_by else {})
