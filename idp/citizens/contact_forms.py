"""The forms of contact data: what a person typed, as it is stored and as a message is sent to it.

A mail address or mobile number is how somebody is reached, never who they are: a family shares a telephone.
"""

import re
import unicodedata
from typing import Final

from idp.notify.channels import Channel
from idp.notify.mail import routable

LONGEST: Final = 254
"""Characters of a mail address (RFC 5321, 4.5.3.1.3)."""
_SEPARATORS: Final = re.compile(r"[\s().\-/\u2010-\u2015]")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_NATIONAL: Final = re.compile(r"0[1-9][0-9]{8}")
# Written with the country and still with the national zero, or with the country and without the sign.
_ZERO_KEPT: Final = re.compile(r"\+840([1-9][0-9]{8})")
_SIGN_LOST: Final = re.compile(r"84[1-9][0-9]{8}")
_COUNTRY: Final = "+84"


class ContactRefused(ValueError):
    """What was typed cannot be an address of its channel. Without the text."""


def canonical(channel: Channel, typed: str) -> str:
    """Return an address as stored: mail with its domain as the DNS has it, a telephone number in E.164.

    No prefix of a telephone is refused: operators get new ones each year, and lists age. Raises ContactRefused.
    """
    if len(typed) > LONGEST * 2:
        raise ContactRefused
    return _mail(typed) if channel is Channel.MAIL else _phone(typed)


def _mail(typed: str) -> str:
    text = unicodedata.normalize("NFKC", typed).strip()
    local_part, _, domain = text.rpartition("@")
    try:
        address = routable(f"{local_part}@{domain.lower()}")
    except (ValueError, UnicodeError):
        raise ContactRefused from None
    if len(address) > LONGEST:
        raise ContactRefused
    return address


def _phone(typed: str) -> str:
    number = _SEPARATORS.sub("", unicodedata.normalize("NFKC", typed))
    if number.startswith("00"):
        number = "+" + number[2:]
    if _NATIONAL.fullmatch(number):
        number = _COUNTRY + number[1:]
    elif _SIGN_LOST.fullmatch(number):
        number = "+" + number
    elif kept := _ZERO_KEPT.fullmatch(number):
        number = _COUNTRY + kept.group(1)
    if not number.isascii() or not _E164.fullmatch(number):
        raise ContactRefused
    return number


def shown(channel: Channel, address: str) -> str:
    """Return an address as people read it: a Vietnamese number as at home, in groups."""
    if channel is Channel.SMS and address.startswith(_COUNTRY):
        national = "0" + address.removeprefix(_COUNTRY)
        return f"{national[:4]} {national[4:7]} {national[7:]}"
    return address
