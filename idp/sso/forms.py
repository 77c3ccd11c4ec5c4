"""The forms of the sign-in pages: read once into values, with the errors a person can mend."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """Number and password as typed; `repr` shows neither."""

    number: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> "LoginForm":
        """Return the form from the posted parameters."""
        return cls(parameters.get("number", ""), parameters.get("password", ""))

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


def code_problems(code: str) -> list[FieldError]:
    """Return why a one-time code as typed cannot be one."""
    if not code.strip():
        return [field_error("code", "totp.error.missing")]
    if len(code) > LONGEST_CODE or not code.replace(" ", "").replace("-", "").isascii():
        return [field_error("code", "totp.error.format")]
    if len("".join(sign for sign in code if sign.isdigit())) != 6 or any(sign.isalpha() for sign in code):  # noqa: PLR2004
        return [field_error("code", "totp.error.format")]
    return []
