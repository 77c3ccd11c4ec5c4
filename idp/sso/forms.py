"""The forms of the sign-in pages: read once into values, with the errors a person can mend."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from idp.citizens.credentials import hashing
from idp.citizens.credentials.choice import Standards
from idp.core.settings import Settings
from idp.core.web import translate

LONGEST_NUMBER = 64
LONGEST_PASSWORD = 1_024
LONGEST_CODE = 32


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing to mend, already in the citizen's language. An empty `field` is about the form as a whole."""

    field: str
    text: str


def field_error(name: str, message: str, **values: object) -> FieldError:
    """Return the error `message` of the catalogues at field `name`."""
    return FieldError(name, translate(message, **values))


@dataclass(frozen=True, slots=True)
class LoginForm:
    """Number and password as typed, and whether others use the device; `repr` shows neither of the first two."""

    number: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    is_shared: bool = False

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> "LoginForm":
        """Return the form from the posted parameters."""
        return cls(parameters.get("number", ""), parameters.get("password", ""), bool(parameters.get("shared")))

    def problems(self) -> list[FieldError]:
        """Return what is missing or cannot be meant."""
        found = []
        if not self.number.strip():
            found.append(field_error("number", "login.error.number-missing"))
        elif len(self.number) > LONGEST_NUMBER:
            found.append(field_error("number", "login.error.number-length"))
        if not self.password:
            found.append(field_error("password", "login.error.password-missing"))
        elif len(self.password) > LONGEST_PASSWORD:
            found.append(field_error("password", "login.error.refused"))
        return found


@dataclass(frozen=True, slots=True)
class NewPasswordForm:
    """A new password, typed twice because nobody sees it; `repr` shows neither."""

    password: str = field(default="", repr=False)
    again: str = field(default="", repr=False)

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> "NewPasswordForm":
        """Return the form from the posted parameters."""
        return cls(parameters.get("password", ""), parameters.get("again", ""))

    def problems(self, standards: Standards, settings: Settings) -> list[FieldError]:
        """Return what is missing, or why the password must not be set."""
        if not self.password:
            return [field_error("password", "password.error.missing")]
        if (weakness := standards.judge(self.password, settings)) is not None:
            return [field_error("password", weakness.message, least=weakness.least, most=weakness.most)]
        if hashing.normal(self.again) != hashing.normal(self.password):
            return [field_error("again", "password.error.differs")]
        return []


def code_problems(code: str) -> list[FieldError]:
    """Return why a one-time code as typed cannot be one."""
    if not code.strip():
        return [field_error("code", "totp.error.missing")]
    if len(code) > LONGEST_CODE or not code.replace(" ", "").replace("-", "").isascii():
        return [field_error("code", "totp.error.format")]
    if len("".join(sign for sign in code if sign.isdigit())) != 6 or any(sign.isalpha() for sign in code):  # noqa: PLR2004
        return [field_error("code", "totp.error.format")]
    return []
