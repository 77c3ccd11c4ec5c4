"""The forms of claim values that a citizen document may carry.

One reader per claim of OpenID Connect Core 1.0, 5.1 and of this country: takes a JSON value, or the text of a CSV
cell, and returns the value as it will be sent. Messages never repeat the value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from idp.citizens.claims import ADDRESS_MEMBERS

_MAX_TEXT: Final = 500
_PLACE_MEMBERS: Final = ("country", "region", "locality")
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)+")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}(;ext=[0-9]{1,10})?")
_PHONE_SEPARATORS: Final = re.compile(r"[\s().-]")
_NATIONAL: Final = re.compile(r"0[1-9][0-9]{8}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_COUNTRY: Final = re.compile(r"[A-Z]{2,3}")
_WORDS_OF_TRUTH: Final = {"true": True, "false": False}


class FormRefused(ValueError):
    """A value has not the form its member needs; the message says which form that is."""


def text(value: Any) -> str:
    """Read one line of text."""
    if not isinstance(value, str):
        raise FormRefused("must be text")
    line = value.strip()
    if not line or len(line) > _MAX_TEXT:
        raise FormRefused(f"must have 1 to {_MAX_TEXT} characters; leave out what is not known")
    if any(sign < " " or sign == "\x7f" or "\ud800" <= sign <= "\udfff" for sign in line):
        raise FormRefused("must not hold control characters")
    return line


def choice(value: Any, words: Sequence[str]) -> str:
    """Read one of `words`."""
    if value not in words:
        raise FormRefused(f"must be one of {', '.join(words)}")
    return str(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Read an object."""
    if not isinstance(value, Mapping):
        raise FormRefused("must be an object")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS_OF_TRUTH:
        return _WORDS_OF_TRUTH[value.lower()]
    raise FormRefused("must be true or false")


def _email(value: Any) -> str:
    address = text(value)
    if not _EMAIL.fullmatch(address):
        raise FormRefused("must be a mail address such as name@example.com")
    return address


def _phone(value: Any) -> str:
    number, semicolon, extension = text(value).partition(";")
    number = _PHONE_SEPARATORS.sub("", number)
    # Ten digits with a leading zero are how Vietnamese numbers are written at home.
    if _NATIONAL.fullmatch(number):
        number = "+84" + number[1:]
    number += semicolon + extension
    if not _E164.fullmatch(number):
        raise FormRefused("must be a telephone number with its country, such as +84 30 123 4567")
    return number


def _web_address(value: Any) -> str:
    address = text(value)
    parts = urlsplit(address)
    # A portal may put it into a link or an image: nothing but the web may stand there.
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in address:
        raise FormRefused("must be an http or https address")
    return address


def _zone(value: Any) -> str:
    zone = text(value)
    # By its form only: a small container has no zone table, and would refuse every zone.
    if not _ZONE.fullmatch(zone):
        raise FormRefused("must be a zone such as Asia/Ho_Chi_Minh")
    return zone


def _language(value: Any) -> str:
    language = text(value)
    if not _LANGUAGE.fullmatch(language):
        raise FormRefused("must be a language tag such as vi or vi-VN")
    return language


def _object(value: Any, members: Sequence[str], *, many_lines: Sequence[str] = ()) -> dict[str, str]:
    given = {name: part for name, part in mapping(value).items() if part is not None}
    unknown = [name for name in given if name not in members]
    if unknown or not given:
        raise FormRefused(f"must be an object with one or more of {', '.join(members)}, and nothing else")
    read: dict[str, str] = {}
    for name in members:
        if name in given:
            try:
                part = given[name]
                lines = part.splitlines() if name in many_lines and isinstance(part, str) else [part]
                read[name] = "\n".join(text(line) for line in lines)
            except FormRefused as refused:
                raise FormRefused(f"{name} {refused}") from None
    return read


def _address(value: Any) -> dict[str, str]:
    return _object(value, ADDRESS_MEMBERS, many_lines=("formatted", "street_address"))


def _place(value: Any) -> dict[str, str]:
    return _object(value, _PLACE_MEMBERS)


def _countries(value: Any) -> list[str]:
    countries = value.split() if isinstance(value, str) else value
    if not isinstance(countries, list) or not countries:
        raise FormRefused("must be a list of country codes such as VN")
    if not all(isinstance(country, str) and _COUNTRY.fullmatch(country) for country in countries):
        raise FormRefused("must hold country codes in capitals such as VN or VNM")
    return countries


FORMS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "family_name": text,
    "middle_name": text,
    "given_name": text,
    "nickname": text,
    "preferred_username": text,
    "profile": _web_address,
    "picture": _web_address,
    "website": _web_address,
    "zoneinfo": _zone,
    "locale": _language,
    "email": _email,
    "email_verified": _boolean,
    "phone_number": _phone,
    "phone_number_verified": _boolean,
    "address": _address,
    "place_of_birth": _place,
    "birth_registration_place": text,
    "nationalities": _countries,
}
