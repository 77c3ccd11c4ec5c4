"""The register of another house, asked over HTTPS: one POST of JSON for each question.

Owns the exchange and what becomes of every way in which it can go wrong. The register's own names are in `mapping`;
`breaker` leaves a dead register alone. No more than MOST_AT_ONCE questions are out at once, so that a slow register
cannot hold every thread of a worker. What a line of the log says of a failure is one word, nothing of the person.
"""

import logging
import ssl
import threading
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from idp.citizens.registry import (
    Malformed,
    NotAuthorised,
    Outcome,
    PopulationRegistry,
    RegistryAnswer,
    RegistryFailure,
    RegistryQuery,
    RegistryRefused,
    Timeout,
    Unavailable,
)
from idp.citizens.registry.breaker import Breaker, State
from idp.citizens.registry.comparison import compare, without_record
from idp.citizens.registry.mapping import (
    NATIONAL,
    Fault,
    FieldNames,
    read_field_names,
    read_record,
    read_reply,
    write_question,
)
from idp.core import secret_files
from idp.core.ids import new_handle
from idp.core.keyring import Keyring
from idp.core.outbound import Answer, Outbound, OutboundRefused
from idp.core.outbound import Reason as Refused
from idp.core.settings import RegistryAuthentication, Settings

MOST_AT_ONCE: Final = 16
LONGEST_ANSWER: Final = 65_536
TOKEN_FILE: Final = "registry.token"  # noqa: S105 (the name of a file)
CERTIFICATE_FILE: Final = "registry.pem"

_SOURCE: Final = "http"
_OK: Final = 200
_BAD_REQUESTS: Final = frozenset({400, 422})
_NOT_AUTHORISED: Final = frozenset({401, 403})
_TOO_LATE: Final = frozenset({408, 504})
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = range(500, 600)
_NO_ANSWER: Final = frozenset({Refused.REDIRECT, Refused.ENCODED, Refused.LENGTH, Refused.BROKEN})
_FAULTS: Final = {Fault.NOT_AUTHORISED: NotAuthorised, Fault.UNAVAILABLE: Unavailable}
_LONGEST_TOKEN: Final = 4_096
_log = logging.getLogger(__name__)


class HttpRegistry:
    """The register behind `IDP_REGISTRY=http`. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        names: FieldNames,
        outbound: Outbound,
        bearer: str | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._url = url
        self._names = names
        self._outbound = outbound
        self._bearer = bearer
        self._breaker = breaker or Breaker()
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)

    @property
    def is_answering(self) -> bool:
        """Tell whether questions go out; one to see counts as no answer yet."""
        return self._breaker.state is State.CLOSED

    def check(self, query: RegistryQuery, *, deadline: float) -> RegistryAnswer:
        """Ask; a register that rests, or is asked by too many at once, is Unavailable without waiting."""
        if query.scheme not in self._names.schemes:
            return without_record(Outcome.NOT_FOUND, source=_SOURCE, trace_id=new_handle())
        if not self._room.acquire(blocking=False):
            raise Unavailable("too many questions at once")
        try:
            with self._breaker.turn():
                return self._ask(query, deadline)
        finally:
            self._room.release()

    def _ask(self, query: RegistryQuery, deadline: float) -> RegistryAnswer:
        question = write_question(query, self._names)
        try:
            answer = self._outbound.post_json(
                self._url, question, bearer=self._bearer, seconds=deadline, longest=LONGEST_ANSWER
            )
            return self._read(query, answer)
        except OutboundRefused as refused:
            failure, word = _failure(refused.reason), refused.reason.value
        except RegistryFailure as failed:
            failure, word = type(failed), str(failed)
        _log.warning("a question to the register failed", extra={"outcome": failure.__name__, "code": word})
        raise failure(word)

    def _read(self, query: RegistryQuery, answer: Answer) -> RegistryAnswer:
        if answer.status in _BAD_REQUESTS:
            return without_record(Outcome.BAD_REQUEST, source=_SOURCE, trace_id=new_handle())
        if answer.status != _OK:
            raise _failure_of(answer.status)(f"status {answer.status}")
        if answer.media_type != "application/json":
            raise Malformed("not JSON")
        reply = read_reply(answer.body, self._names)
        trace_id = reply.trace_id or new_handle()
        if reply.fault in _FAULTS:
            raise _FAULTS[reply.fault]("code")
        if reply.fault is Fault.BAD_REQUEST:
            return without_record(Outcome.BAD_REQUEST, source=_SOURCE, trace_id=trace_id)
        if not reply.records:
            return without_record(Outcome.NOT_FOUND, source=_SOURCE, trace_id=trace_id)
        if len(reply.records) > 1:
            return without_record(Outcome.AMBIGUOUS, source=_SOURCE, trace_id=trace_id)
        known = read_record(reply.records[0], query, self._names)
        return compare(query, known, source=_SOURCE, trace_id=trace_id)


def registry(settings: Settings, *, keyring: Keyring) -> PopulationRegistry:
    """Return the register at `IDP_REGISTRY_URL`. Raises RegistryRefused for a mapping or proof that cannot be used."""
    url = settings.registry_url or ""
    how = settings.registry_authentication
    certificate = settings.secrets_dir / CERTIFICATE_FILE if how is RegistryAuthentication.MTLS else None
    if certificate is not None:
        _refuse_open(certificate, settings)
    try:
        outbound = Outbound(
            is_sandbox=settings.is_sandbox,
            # The operator named this host, and no client can: it may stand in a private network.
            private_hosts={urlsplit(url).hostname or ""},
            ca_file=settings.registry_ca_file,
            client_certificate=certificate,
        )
    except (OSError, ssl.SSLError):
        raise RegistryRefused(f"{certificate or settings.registry_ca_file}: needs PEM that can be used") from None
    return HttpRegistry(
        url,
        names=read_field_names(settings.registry_mapping or NATIONAL),
        outbound=outbound,
        bearer=_token(settings) if how is RegistryAuthentication.BEARER else None,
    )


def _token(settings: Settings) -> str:
    path = settings.secrets_dir / TOKEN_FILE
    _refuse_open(path, settings)
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token.isprintable() or not 0 < len(token) <= _LONGEST_TOKEN or " " in token:
        raise RegistryRefused(f"{path}: needs the register's bearer token on one line")
    return token


def _refuse_open(path: Path, settings: Settings) -> None:
    try:
        is_open = secret_files.is_open_to_others(path)
    except OSError as error:
        raise RegistryRefused(f"{path} cannot be read ({error.strerror})") from None
    if not settings.is_sandbox and is_open:
        raise RegistryRefused(f"{path} can be read by others; chmod 600 it")


def _failure(reason: Refused) -> type[RegistryFailure]:
    if reason is Refused.TIMEOUT:
        return Timeout
    return Malformed if reason in _NO_ANSWER else Unavailable


def _failure_of(status: int) -> type[RegistryFailure]:
    if status in _NOT_AUTHORISED:
        return NotAuthorised
    if status in _TOO_LATE:
        return Timeout
    return Unavailable if status in _SERVER_ERRORS or status == _TOO_MANY else Malformed
