"""Text messages: handed to the HTTP gateway that the operator names, or written to a folder in the sandbox.

One POST of JSON for each message; docs/operate.md describes it. What the gateway answers is never logged or kept but
for its status, because it may quote the number.
"""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from idp.core import secret_files
from idp.core.outbound import Outbound, OutboundRefused
from idp.core.secret_files import SecretFileRefused
from idp.core.settings import Settings, SettingsRefused
from idp.notify.channels import Letter, NotCarried, Sender

TOKEN: Final = "sms.token"  # noqa: S105 (the name of a file)
"""File in the secrets directory: the bearer token of the gateway, one line of ASCII."""
_ACCEPTED: Final = range(200, 300)
# The gateway says that this message, not this moment, is the trouble.
_FINAL: Final = frozenset({400, 404, 410, 413, 422})


class SmsGateway:
    """Sends by a gateway over HTTPS."""

    def __init__(self, url: str, *, sender: str, token: str | None, outbound: Outbound, seconds: int) -> None:
        self._url = url
        self._sender = sender
        self._token = token
        self._outbound = outbound
        self._seconds = seconds

    def send(self, letter: Letter, *, to: str, message_id: UUID) -> None:
        document = {"id": message_id.hex, "from": self._sender, "to": to, "text": letter.short}
        try:
            answer = self._outbound.post_json(self._url, document, bearer=self._token, seconds=self._seconds)
        except OutboundRefused as refused:
            raise NotCarried(refused.reason.value) from None
        if answer.status not in _ACCEPTED:
            raise NotCarried(f"status {answer.status}", is_final=answer.status in _FINAL)


class SmsFolder:
    """Writes each message as a file of its own into a folder, for developers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, letter: Letter, *, to: str, message_id: UUID) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished = self._folder / f".{message_id.hex}"
            unfinished.write_text(f"{to}\n\n{letter.short}\n", encoding="utf-8")
            unfinished.replace(self._folder / f"{message_id.hex}.txt")
        except OSError:
            raise NotCarried("folder") from None


def sender_of(settings: Settings) -> Sender | None:
    """Return how text messages go under `settings`; None where they do not. Raises SettingsRefused for a bad token."""
    if settings.sms_url is None:
        return None if settings.mail_folder is None else SmsFolder(settings.mail_folder)
    outbound = Outbound(
        is_sandbox=settings.is_sandbox,
        # The operator's own choice, unlike the addresses of clients: it may stand in the government's network.
        private_hosts={urlsplit(settings.sms_url).hostname or ""},
        ca_file=settings.outbound_ca_file,
    )
    token = _token(settings.secrets_dir / TOKEN, is_production=not settings.is_sandbox)
    return SmsGateway(
        settings.sms_url, sender=settings.sms_sender, token=token, outbound=outbound, seconds=settings.sms_timeout
    )


def _token(path: Path, *, is_production: bool) -> str | None:
    try:
        lines = secret_files.read(path, is_production=is_production).splitlines()
    except FileNotFoundError:
        return None
    except SecretFileRefused as refused:
        raise SettingsRefused((str(refused),)) from None
    if len(lines) != 1 or not lines[0].strip() or not lines[0].isprintable():
        raise SettingsRefused((f"{path}: expected one line, the token of the gateway",))
    return lines[0].strip()
