"""The vocabulary of assurance: three levels, their names in `acr`, and the methods in `amr`.

Owns the words only. What an account has proven and what a sign-in proved is decided in citizens and sso.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """Level of assurance, ordered. NONE is an account whose identity nobody has matched."""

    NONE = 0
    LOA1 = 1
    LOA2 = 2
    LOA3 = 3

    @property
    def acr(self) -> str:
        """Return the canonical `acr` value, `loa1` to `loa3`."""
        return f"loa{int(self)}"


class Method(StrEnum):
    """Authentication methods as they appear in `amr` (RFC 8176, 2).

    HARDWARE_KEY is a passkey bound to its device, SOFTWARE_KEY one that is copied between devices. Two values are ours,
    because none of the registered ones says so: RECOVERY, a code from the sheet of recovery codes, and ASSISTED, an
    officer with their own key beside the citizen.
    """

    PASSWORD = "pwd"  # noqa: S105 (a registered amr value)
    ONE_TIME_CODE = "otp"
    SMS = "sms"
    RECOVERY = "recovery"
    HARDWARE_KEY = "hwk"
    SOFTWARE_KEY = "swk"
    USER_PRESENT = "user"
    MULTIPLE = "mfa"
    # Never told to anybody: what an identity provider vouches for, at each level.
    VOUCHED_LOA1 = "vouched-loa1"
    VOUCHED_LOA2 = "vouched-loa2"
    VOUCHED_LOA3 = "vouched-loa3"
    ASSISTED = "assisted"


# LoA1..3 is what Vietnamese portals already send, eidas1..3 the ladder of FranceConnect.
_ALIASES = {f"{prefix}{number}": Level(number) for prefix in ("loa", "eidas") for number in (1, 2, 3)}

ACR_VALUES = tuple(level.acr for level in (Level.LOA1, Level.LOA2, Level.LOA3))


def level_of(acr: str) -> Level | None:
    """Return the level an `acr` value names, in any case and by any alias; None for an unknown value."""
    return _ALIASES.get(acr.lower())


def lowest(acr_values: Iterable[str]) -> Level | None:
    """Return the lowest known level among `acr_values`, the one that satisfies the portal; None if none is known."""
    return min((level for value in acr_values if (level := level_of(value)) is not None), default=None)
