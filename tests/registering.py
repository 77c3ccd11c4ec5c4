"""A stranger who registers clients over HTTP, and the pictures and lists it publishes."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from werkzeug.test import TestResponse

from tests.provider import Portal, Provider

_serial = count(1)


def plain(**changes: Any) -> dict[str, Any]:
    """Return metadata as a stock library sends it; a change to None drops the member."""
    host = f"stranger-{next(_serial)}.example"
    members = {"redirect_uris": [f"https://{host}/cb"], "client_name": "Stock library", **changes}
    return {name: value for name, value in members.items() if value is not None}


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def post(provider: Provider, members: Any, *, token: str | None = None, address: str = "") -> TestResponse:
    """Ask for a registration, each time from an address of its own unless told."""
    number = next(_serial)
    remote = address or f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    headers = bearer(token) if token else {}
    return provider.http().post("/register", json=members, headers=headers, environ_base={"REMOTE_ADDR": remote})


@dataclass(frozen=True)
class Stranger:
    """A client that registered itself."""

    provider: Provider
    record: Mapping[str, Any] = field(repr=False)

    @property
    def client_id(self) -> str:
        """Return its identifier."""
        return str(self.record["client_id"])

    @property
    def path(self) -> str:
        """Return the path of its client configuration endpoint."""
        return str(self.record["registration_client_uri"]).removeprefix(self.provider.settings.issuer)

    @property
    def token(self) -> str:
        """Return its registration access token."""
        return str(self.record["registration_access_token"])

    def ask(
        self, method: str = "GET", *, path: str | None = None, token: str | None = None, **more: Any
    ) -> TestResponse:
        """Ask the configuration endpoint, with its own token unless told otherwise."""
        number = next(_serial)
        remote = {"REMOTE_ADDR": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        headers = bearer(self.token if token is None else token)
        return self.provider.http().open(path or self.path, method=method, headers=headers, environ_base=remote, **more)

    def writable(self, **changes: Any) -> dict[str, Any]:
        """Return its record as an update sends it (RFC 7592, 2.2); a change to None drops the member."""
        server = ("registration_access_token", "registration_client_uri", "client_id_issued_at")
        members = {name: value for name, value in self.ask().get_json().items() if name not in server}
        return {name: value for name, value in {**members, **changes}.items() if value is not None}

    def put(self, **changes: Any) -> TestResponse:
        """Replace its record."""
        return self.ask("PUT", json=self.writable(**changes))

    def portal(self) -> Portal:
        """Return the portal that signs citizens in as this client."""
        self.provider.forget_caches()
        redirect_uri = self.record["redirect_uris"][0]
        return Portal(self.provider, self.client_id, self.record, redirect_uri, secret=self.record["client_secret"])


def register(provider: Provider, *, token: str | None = None, **changes: Any) -> Stranger:
    """Register a client with plain metadata."""
    response = post(provider, plain(**changes), token=token)
    assert response.status_code == 201, response.text
    return Stranger(provider, response.get_json())


def png(width: int = 40, height: int = 20, *extra: bytes) -> bytes:
    """Return a PNG picture in one colour, with `extra` chunks after its header."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = b"".join(b"\0" + b"\x0b\x55\x63" * width for _ in range(height))
    more = b"".join(chunk(part[:4], part[4:]) for part in extra)
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
