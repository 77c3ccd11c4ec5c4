"""Which browsers a citizen has signed in with before: kept by the browser, in a cookie that says nothing about anybody.

    v1.BROWSER.MARK.MARK...

BROWSER is random; each MARK is an HMAC of it and of one citizen, so that people who share a telephone each have their
own, nobody without the key learns who they are, and the same person's marks on two browsers have nothing in common. The
provider stores no list of devices. A browser without the mark is new: its citizen gets a notice.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hmac import compare_digest
from uuid import UUID

from idp.agencies.clients import Client
from idp.core.i18n import LANGUAGES
from idp.core.ids import new_handle
from idp.core.keyring import Keyring, Purpose
from idp.notify import notices
from idp.notify.notices import Notice

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


def meet(cookie: str, citizen_id: UUID, client: Client, *, device: str, is_repeated: bool, keyring: Keyring) -> str:
    """Return the new value of the cookie of a browser in which a citizen has just signed in for `client`.

    `cookie` is what the browser sent, "" for nothing; `device` is the browser in words (sso.devices). Owes the citizen
    a notice when they were not known there, unless this sign-in `is_repeated`, the other half of a double click; the
    caller commits.
    """
    memory = _Memory.of(cookie)
    if not is_repeated and not _is_known(memory, citizen_id, keyring):
        notices.owe(
            citizen_id,
            Notice.NEW_DEVICE,
            keyring=keyring,
            agency={language: client.name(language) for language in LANGUAGES},
            device=device,
        )
    mine = _mark(memory.browser, citizen_id, keyring)
    others = [mark for mark in memory.marks if mark not in _marks(memory.browser, citizen_id, keyring)]
    # The latest last: who has not been here for longest is forgotten first.
    return ".".join((_VERSION, memory.browser, *others[-(MOST_CITIZENS - 1) :], mine))


def _is_known(memory: _Memory, citizen_id: UUID, keyring: Keyring) -> bool:
    theirs = _marks(memory.browser, citizen_id, keyring)
    return any(compare_digest(mark, known) for mark in memory.marks for known in theirs)


def _marks(browser: str, citizen_id: UUID, keyring: Keyring) -> tuple[str, ...]:
    """Return the mark of a citizen under each key there is: a rotation makes nobody's telephone new."""
    return tuple(_mark(browser, citizen_id, keyring, key_id=key_id) for key_id in keyring.key_ids(Purpose.FORM))


def _mark(browser: str, citizen_id: UUID, keyring: Keyring, *, key_id: str | None = None) -> str:
    message = f"known device {browser} {citizen_id}".encode()
    return urlsafe_b64encode(keyring.hmac(Purpose.FORM, message, key_id=key_id)).decode()[:_MARK_LENGTH]
