"""A real mail server on loopback: it keeps what it is sent and answers as it was told."""

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.services import free_port

USER, PASSWORD = "lienket", "mat khau thu"


@dataclass(frozen=True)
class Received:
    """One mail: its envelope, and the message as a mail program reads it."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    was_encrypted: bool

    def body(self, kind: str = "plain") -> str:
        """Return the text of the part of `kind`."""
        part = self.message.get_body((kind,))
        assert part is not None
        return part.get_content().replace("\r\n", "\n")


class Mailbox:
    """The server. `refusal` is its answer to each recipient or, with `at_data`, to each message; None accepts."""

    def __init__(self, **options: Any) -> None:
        self.received: list[Received] = []
        self.refusal: str | None = None
        self.at_data = False
        self.hold = threading.Event()
        self.hold.set()
        self.port = free_port()
        self._arrived = threading.Condition()
        self.waiting = 0
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    @property
    def url(self) -> str:
        """Return the address for IDP_MAIL_SERVER."""
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.refusal is not None and not self.at_data:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's names)
        self.waiting += 1
        while not self.hold.is_set():
            await asyncio.sleep(0.02)
        if self.refusal is not None:
            return self.refusal
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        with self._arrived:
            encrypted = session.ssl is not None
            self.received.append(Received(envelope.mail_from, list(envelope.rcpt_tos), message, encrypted))
            self._arrived.notify_all()
        return "250 OK"

    def wait_until_held(self, *, seconds: float = 30) -> None:
        """Wait until somebody waits for the answer to a message."""
        ends = time.monotonic() + seconds
        while not self.waiting and time.monotonic() < ends:
            time.sleep(0.02)
        assert self.waiting

    def wait_for(self, number: int, *, seconds: float = 10) -> None:
        """Wait until so many mails are there."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= number, seconds), len(self.received)


@contextmanager
def mailbox(*, tls: ssl.SSLContext | None = None, asks_for_password: bool = False) -> Iterator[Mailbox]:
    """Yield a mail server; with `tls` it wants STARTTLS first, and with `asks_for_password` USER and PASSWORD."""

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        is_right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    options: dict[str, Any] = {}
    if tls is not None:
        options |= {"tls_context": tls, "require_starttls": True}
    if asks_for_password:
        options |= {"authenticator": authenticate, "auth_required": True}
    opened = Mailbox(**options)
    opened.controller.start()
    try:
        yield opened
    finally:
        opened.hold.set()
        opened.controller.stop()
