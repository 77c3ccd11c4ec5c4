"""Which browsers a citizen has signed in with before: kept by the browser, in a cookie that says nothing about anybody.

    v1.BROWSER.MARK.MARK...

BROWSER is random; each MARK is an HMAC of it and of one citizen, so that people who share a telephone each have their
own, nobody without the key learns who they are, and the same person's marks on two browsers have nothing in common. The
provider stores no list of devices. A browser without the mark is new: its citizen gets a notice.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from uuid import UUID

from idp.agencies.clients import Client
from idp.core.i18n import LANGUAGES
from idp.core.ids import new_handle
from idp.core.keyring import Keyring, Purpose
from idp.notify.notices import Fact

COOKIE = "known"
COOKIE_SECONDS = 34_560_000
"""400 days, the most that browsers keep a cookie (RFC 6265bis, 5.5); renewed at every sign-in."""
MOST_CITIZENS = 8
_VERSION = "v1"
_BROWSER_LENGTH = 22
_MARK_LENGTH = 22


@dataclass(frozen=True, slots=True)
class _Memory:
    browser: str
    marks: tuple[str, ...]

    @classmethod
    def of(cls, cookie: str) -> "_Memory":
        version, _, rest = cookie.partition(".")
        browser, *marks = rest.split(".")
        is_ours = version == _VERSION and len(browser) == _BROWSER_LENGTH and cookie.isascii()
        if not is_ours or any(len(mark) != _MARK_LENGTH for mark in marks) or len(marks) > MOST_CITIZENS:
            return cls(new_handle(), ())
        return cls(browser, tuple(marks))


@dataclass(frozen=True, slots=True)
class Greeting:
    """Whether a citizen was known to a browser, and the new value of its cookie."""

    is_known: bool
    cookie: str


def meet(cookie: str, citizen_id: UUID, *, keyring: Keyring) -> Greeting:
    """Return the greeting of a citizen who has just signed in with a browser; `cookie` is what it sent, "" for nothing.

    Whoever was not known there is owed a notice with `facts`.
    """
    memory = _Memory.of(cookie)
    theirs = _marks(memory.browser, citizen_id, keyring)
    is_known = any(compare_digest(mark, known) for mark in memory.marks for known in theirs)
    others = [mark for mark in memory.marks if mark not in theirs]
    # The latest last: who has not been here for longest is forgotten first. The first mark is the writing key's.
    marks = (*others[-(MOST_CITIZENS - 1) :], theirs[0])
    return Greeting(is_known, ".".join((_VERSION, memory.browser, *marks)))


def facts(client: Client, *, device: str, session_id: UUID) -> Mapping[str, Fact]:
    """Return the facts of the notice that tells of the sign-in of `session_id` for `client` with a new browser.

    `device` is the browser in words (sso.devices).
    """
    return {
        "agency": {language: client.name(language) for language in LANGUAGES},
        "device": device,
        "session": session_id.hex,
    }


def _marks(browser: str, citizen_id: UUID, keyring: Keyring) -> tuple[str, ...]:
    """Return the mark of a citizen under each key there is: a rotation makes nobody's telephone new."""
    return tuple(_mark(browser, citizen_id, keyring, key_id=key_id) for key_id in keyring.key_ids(Purpose.FORM))


def _mark(browser: str, citizen_id: UUID, keyring: Keyring, *, key_id: str) -> str:
    message = f"known device {browser} {citizen_id}".encode()
    return urlsafe_b64encode(keyring.hmac(Purpose.FORM, message, key_id=key_id)).decode()[:_MARK_LENGTH]
