"""The languages of the pages: which one a person reads, and the texts of each.

Texts live in gettext catalogues, idp/translations/<language>/LC_MESSAGES/idp.po with the compiled .mo beside; message
ids are symbolic (`login.title`), placeholders are `%(agency)s`. This module knows nothing of HTTP: a view hands in
what the browser and the agency said and keeps the answer.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

LANGUAGES = ("vi", "en", "fr")
DEFAULT_LANGUAGE = LANGUAGES[0]
# Each in its own language: whoever needs the switch cannot read the page it stands on.
LANGUAGE_LABELS = {"vi": "Tiếng Việt", "en": "English", "fr": "Français"}

DOMAIN = "idp"
TRANSLATIONS = Path(__file__).resolve().parent.parent / "translations"

# A header made of thousands of ranges costs no more than an honest one.
_MOST_RANGES = 20
_LONGEST_HEADER = 1000
_WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2}))?")


def negotiate(
    *,
    chosen: str | None = None,
    cookie: str | None = None,
    ui_locales: Sequence[str] = (),
    accept_language: str | None = None,
    default: str = DEFAULT_LANGUAGE,
) -> str:
    """Return the language of LANGUAGES a page is shown in; `default` when nothing fits.

    In this order: what the person chose on this page, what they chose before (`cookie`), what the agency asked for
    (`ui_locales`, BCP 47 tags, best first), what the browser prefers. Tags match without regard to case and by their
    first part (`en-GB` is `en`). Never raises: unknown or malformed input counts as absent.
    OpenID Connect Core 1.0, 3.1.2.1; RFC 4647, 3.4; RFC 9110, 12.5.4.
    """
    for wish in (chosen, cookie, *ui_locales[:_MOST_RANGES], *_accepted(accept_language or "")):
        language = _match(wish)
        if language is not None:
            return language
    return default


def _match(tag: str | None) -> str | None:
    """Return the language a tag stands for, or None."""
    primary = (tag or "").strip().replace("_", "-").partition("-")[0].lower()
    return primary if primary in LANGUAGES else None


def _accepted(header: str) -> Iterator[str]:
    """Yield the tags of an Accept-Language header, best first; ranges with weight 0 or a broken one are left out."""
    weighted = []
    for language_range in header[:_LONGEST_HEADER].split(",")[:_MOST_RANGES]:
        tag, _, parameter = language_range.partition(";")
        name, _, weight = parameter.replace(" ", "").partition("=")
        if not parameter.strip():
            weighted.append((1.0, tag))
        elif name.lower() == "q" and _WEIGHT.fullmatch(weight) and float(weight) > 0:
            weighted.append((float(weight), tag))
    yield from (tag for _, tag in sorted(weighted, key=lambda pair: -pair[0]))


@cache
def translation(language: str) -> gettext.GNUTranslations:
    """Return the catalogue of a language, read from disk once per process.

    Raises FileNotFoundError when `language` is none of LANGUAGES: a language comes from `negotiate`, never from input.
    """
    if language not in LANGUAGES:
        raise FileNotFoundError(f"no catalogue for this language: {language!r}")
    return gettext.translation(DOMAIN, localedir=TRANSLATIONS, languages=[language])


def translate(language: str, message: str, /, **values: object) -> str:
    """Return the text of a message id as plain text, its placeholders filled in; a template still has to escape it."""
    return translation(language).gettext(message) % values


def gettext_callables(
    language: Callable[[], str],
) -> tuple[Callable[[str], str], Callable[[str, str, int], str]]:
    """Return the two functions for `environment.install_gettext_callables(*..., newstyle=True)`.

    `language` is asked at every text, so that one Jinja environment (with jinja2.ext.i18n) and its compiled macros
    serve every language. It must return one of LANGUAGES.
    """

    def text(message: str) -> str:
        return translation(language()).gettext(message)

    def counted_text(singular: str, plural: str, count: int) -> str:
        return translation(language()).ngettext(singular, plural, count)

    return text, counted_text


def date_words(language: str, birthdate: str) -> str:
    """Return an OpenID Connect `birthdate` (YYYY-MM-DD, or YYYY when only the year is known) as people say it.

    A value of another shape comes back as it is: what is shown must be what is sent.
    """
    parts = _DATE.fullmatch(birthdate)
    if parts is None:
        return birthdate
    year, month, day = parts.groups()
    if month is None:
        return translate(language, "date.year-only", year=year)
    if not 1 <= int(month) <= len(_MONTHS):
        return birthdate
    return translate(language, "date.full", day=int(day), month=translate(language, _MONTHS[int(month) - 1]), year=year)


_MONTHS = tuple(f"date.month-{number:02}" for number in range(1, 13))
