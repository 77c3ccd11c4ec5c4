"""Mail: a letter as a message, and the ways it is carried.

One message, one recipient, one dialogue with the server (RFC 5321), over TLS that is checked: there is no falling back
to plain text. What the server says is never logged or kept but for its number, because it quotes addresses.
"""

import re
import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from idp.core import clock, secret_files
from idp.core.secret_files import SecretFileRefused
from idp.core.settings import Settings, SettingsRefused
from idp.notify.channels import Letter, NotCarried

CREDENTIALS = "mail.credentials"
"""File in the secrets directory: the user's name on its first line, the password on its second, in ASCII."""
_PORTS = {"smtp": 587, "smtps": 465}
# A dot-atom (RFC 5322, 3.2.3): quoted names and comments are where parsers disagree on who the recipient is.
_LOCAL_PART = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_PERMANENT = range(500, 600)


class Carrier(Protocol):
    """A way for a message to leave this house."""

    def carry(self, message: EmailMessage) -> None:
        """Hand `message` over for its one recipient. Raises NotCarried."""


class MailSender:
    """The channel of mail: from `sender` ("Name <address>"), by `carrier`."""

    def __init__(self, carrier: Carrier, *, sender: str) -> None:
        self._carrier = carrier
        self._sender = sender

    def send(self, letter: Letter, *, to: str, message_id: UUID) -> None:
        self._carrier.carry(message(letter, to=to, sender=self._sender, notice_id=message_id))


def message(letter: Letter, *, to: str, sender: str, notice_id: UUID) -> EmailMessage:
    """Return `letter` as a message from `sender` ("Name <address>") to the mail address `to`.

    The same notice always has the same Message-ID, so that one sent twice can be seen as one. Raises NotCarried for a
    `to` that is no address a mail server could be given.
    """
    name, from_address = parseaddr(sender)
    made = EmailMessage(policy=SMTP)
    try:
        made["From"] = Address(name, addr_spec=from_address)
        made["To"] = Address(addr_spec=routable(to))
        made["Subject"] = letter.subject
    except (ValueError, MessageError, UnicodeError):
        # Without the cause: it quotes the address.
        raise NotCarried("no address", is_final=True) from None
    made["Date"] = format_datetime(clock.now())
    made["Message-ID"] = f"<{notice_id.hex}@{from_address.rpartition('@')[2]}>"
    # RFC 3834, 5: nobody's holiday answer comes back.
    made["Auto-Submitted"] = "auto-generated"
    # Not 8bit, which a server may not take.
    made.set_content(letter.text, cte="quoted-printable")
    made.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    # Last: what is there before goes to the first part.
    made["Content-Language"] = letter.language
    return made


def routable(address: str) -> str:
    """Return an address in ASCII, its domain as the DNS has it (RFC 5890). Raises ValueError or UnicodeError."""
    local_part, _, domain = address.rpartition("@")
    ascii_domain = domain.encode("idna").decode("ascii")
    if not _LOCAL_PART.fullmatch(local_part) or not _DOMAIN.fullmatch(ascii_domain):
        raise ValueError("not a mail address")
    return f"{local_part}@{ascii_domain}"


class SmtpCarrier:
    """Carries by a mail server that takes our mail on submission (RFC 6409).

    With `is_plain` the dialogue is not encrypted, which is for a catcher of mails on a developer's machine.
    """

    def __init__(
        self,
        server: str,
        *,
        seconds: int,
        is_plain: bool = False,
        credentials: tuple[str, str] | None = None,
        ca_file: Path | None = None,
    ) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._is_tls_at_once = parts.scheme == "smtps"
        self._is_plain = is_plain
        self._seconds = seconds
        self._credentials = credentials
        self._tls = ssl.create_default_context()
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if ca_file is not None:
            self._tls.load_verify_locations(ca_file)

    def carry(self, message: EmailMessage) -> None:
        sender, recipient = (message[name].addresses[0].addr_spec for name in ("From", "To"))
        with _Deadline(self._seconds) as deadline:
            try:
                dialogue = self._open(deadline, sender.rpartition("@")[2])
                try:
                    dialogue.send_message(message, sender, [recipient])
                    # It has the mail: whatever it says to our goodbye changes nothing.
                    with suppress(smtplib.SMTPException, OSError):
                        dialogue.quit()
                finally:
                    dialogue.close()
            except (smtplib.SMTPException, OSError, ValueError) as error:
                # Without the cause: smtplib puts addresses and the server's words into its exceptions.
                raise _not_carried(error, is_late=deadline.is_over) from None

    def _open(self, deadline: "_Deadline", our_domain: str) -> smtplib.SMTP:
        """Return a dialogue that is encrypted and authenticated as it must be. `our_domain` is the name we greet with:
        left to itself, smtplib asks the name server for one."""
        arguments: dict[str, Any] = {"local_hostname": our_domain, "timeout": self._seconds}
        if self._is_tls_at_once:
            opened: smtplib.SMTP = _TlsDialogue(deadline, self._host, self._port, context=self._tls, **arguments)
        else:
            opened = _Dialogue(deadline, self._host, self._port, **arguments)
        try:
            if not self._is_tls_at_once and not self._is_plain:
                opened.starttls(context=self._tls)
            if self._credentials is not None:
                opened.login(*self._credentials)
        except BaseException:
            opened.close()
            raise
        return opened


class _Deadline:
    """Ends a dialogue by cutting its connection: each wait is limited by itself, but their number is the server's."""

    def __init__(self, seconds: int) -> None:
        self.is_over = False
        self._dialogue: smtplib.SMTP | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, dialogue: smtplib.SMTP) -> None:
        """Say which dialogue it is, before it connects."""
        self._dialogue = dialogue

    def _cut(self) -> None:
        self.is_over = True
        connection = None if self._dialogue is None else self._dialogue.sock
        if connection is not None:
            with suppress(OSError):
                # Not the method of a TLS socket, which would take the encryption away under the thread that reads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Dialogue(smtplib.SMTP):
    def __init__(self, deadline: _Deadline, *arguments: Any, **named: Any) -> None:
        deadline.watch(self)
        super().__init__(*arguments, **named)


class _TlsDialogue(smtplib.SMTP_SSL):
    def __init__(self, deadline: _Deadline, *arguments: Any, **named: Any) -> None:
        deadline.watch(self)
        super().__init__(*arguments, **named)


def _not_carried(error: Exception, *, is_late: bool) -> NotCarried:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        status = next(iter(error.recipients.values()))[0]
        return NotCarried(f"status {status}", is_final=status in _PERMANENT)
    if isinstance(error, smtplib.SMTPDataError):
        return NotCarried(f"status {error.smtp_code}", is_final=error.smtp_code in _PERMANENT)
    if isinstance(error, smtplib.SMTPResponseException):
        # Our name, password or address refused: the operator's to mend, and the mail can wait for it.
        return NotCarried(f"status {error.smtp_code}")
    if is_late or isinstance(error, TimeoutError):
        return NotCarried("timeout")
    if isinstance(error, ssl.SSLError | smtplib.SMTPNotSupportedError):
        return NotCarried("tls")
    return NotCarried("connect")


class FolderCarrier:
    """Writes each message as a file of its own into a folder, for developers: any mail program opens it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def carry(self, message: EmailMessage) -> None:
        name = message["Message-ID"].strip("<>").partition("@")[0]
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished = self._folder / f".{name}"
            unfinished.write_bytes(bytes(message))
            unfinished.replace(self._folder / f"{name}.eml")
        except OSError:
            raise NotCarried("folder") from None


def carrier_of(settings: Settings) -> Carrier | None:
    """Return how mail goes under `settings`; None where it goes nowhere. Raises SettingsRefused for bad credentials."""
    if settings.mail_folder is not None:
        return FolderCarrier(settings.mail_folder)
    if settings.mail_server is None:
        return None
    return SmtpCarrier(
        settings.mail_server,
        seconds=settings.mail_timeout,
        is_plain=settings.is_mail_plain,
        credentials=_credentials(settings.secrets_dir / CREDENTIALS, is_production=not settings.is_sandbox),
        ca_file=settings.outbound_ca_file,
    )


def _credentials(path: Path, *, is_production: bool) -> tuple[str, str] | None:
    try:
        lines = secret_files.read(path, is_production=is_production).splitlines()
    except FileNotFoundError:
        return None
    except SecretFileRefused as refused:
        raise SettingsRefused((str(refused),)) from None
    if len(lines) != 2 or not all(lines):  # noqa: PLR2004 (user and password)
        raise SettingsRefused((f"{path}: expected the user's name on the first line, the password on the second",))
    return lines[0], lines[1]
