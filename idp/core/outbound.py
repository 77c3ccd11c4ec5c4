"""The one door out: requests this provider makes to addresses that clients gave it, and to the national register.

A client's address is an attacker's favourite way inside (security.md, 2, 11 and 22), so one request goes to one checked
address: the name is resolved here, every address it has is judged, and the connection is made to what was judged, so
that a second answer of the name server changes nothing. No redirects, no proxies from the environment, no compressed
answers; a deadline for the whole request that a slow sender cannot stretch. Nothing of a request is logged here.
"""

import http.client
import io
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 5.0
LONGEST_ANSWER = 262_144
LONGEST_URL = 2_000
_PIECE = 16_384
_MOST_LOOKUPS = 4
_DEFAULT_PORTS = {"https": 443, "http": 80}
_VISIBLE = re.compile(r"[\x21-\x7e]+")
# Global unicast is all there is outside (RFC 4291, 2.4). Inside it, blocks that lead back to an IPv4 address or
# nowhere: Teredo and other protocol assignments, documentation twice, 6to4.
_IPV6_OUTSIDE = ipaddress.IPv6Network("2000::/3")
_IPV6_REFUSED = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# Protocol assignments, which older Pythons partly call global; 6to4 relays (RFC 7526).
_IPV4_REFUSED = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
_IPV4_PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
_IPV6_PRIVATE = ipaddress.IPv6Network("fc00::/7")

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Collection[str]]


class Reason(StrEnum):
    """Why nothing was fetched, in one word for records and logs."""

    ADDRESS = "address"
    NAME = "name"
    NETWORK = "network"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    REDIRECT = "redirect"
    ENCODED = "encoded"
    LENGTH = "length"
    BROKEN = "broken"


class OutboundRefused(Exception):
    """Nothing was fetched; `reason` says why and holds nothing of the request."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole. `media_type` is without parameters; it and the names of `headers` are in small letters."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.media_type}, {len(self.body)} bytes)"


class Outbound:
    """Makes guarded requests. Safe to use from several threads; each request has a connection of its own.

    `is_sandbox` also lets loopback be asked, by http too. `private_hosts` are names on the government's own network:
    their addresses may be private, though never loopback or link-local. `ca_file` holds authorities trusted besides
    those of the system. `client_certificate` is a PEM file of a certificate and its key, shown to every server that
    asks for one: an Outbound that has it is for one host. `resolve` returns the addresses of a name. Raises OSError
    for a file that cannot be used.
    """

    def __init__(
        self,
        *,
        is_sandbox: bool,
        private_hosts: Collection[str] = (),
        ca_file: Path | None = None,
        client_certificate: Path | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._is_sandbox = is_sandbox
        self._private_hosts = frozenset(private_hosts)
        self._resolve = resolve or _resolve
        # A name server that hangs must not hold a request longer than its deadline; the look-up itself cannot be ended.
        self._lookups = ThreadPoolExecutor(_MOST_LOOKUPS, thread_name_prefix="outbound-lookup")
        self._tls = ssl.create_default_context()
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if ca_file is not None:
            self._tls.load_verify_locations(ca_file)
        if client_certificate is not None:
            # An empty word instead of a question at the terminal, which would hold the start for ever.
            self._tls.load_cert_chain(client_certificate, password="")

    def get(
        self,
        url: str,
        *,
        accept: str,
        longest: int = LONGEST_ANSWER,
        authorization: str | None = None,
        proof: str | None = None,
    ) -> Answer:
        """Return what stands at `url`, whatever its status but a redirect. Raises OutboundRefused.

        `proof` is a DPoP proof for this request (RFC 9449, 4.1), here as in `post_form`.
        """
        headers = {"Accept": accept} | _presented(authorization, proof)
        return self._request("GET", url, None, headers, longest=longest)

    def post_form(
        self, url: str, form: Mapping[str, str], *, authorization: str | None = None, proof: str | None = None
    ) -> Answer:
        """Send `form` to `url` as application/x-www-form-urlencoded; return the answer. Raises OutboundRefused."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*"}
        headers |= _presented(authorization, proof)
        return self._request("POST", url, urlencode(form).encode("ascii"), headers, longest=LONGEST_ANSWER)

    def post_json(
        self,
        url: str,
        document: Mapping[str, Any],
        *,
        bearer: str | None = None,
        seconds: float | None = None,
        longest: int = LONGEST_ANSWER,
    ) -> Answer:
        """Send `document` to `url` as application/json, with the token `bearer` (RFC 6750, 2.1) where given.

        `seconds` shortens or lengthens the deadline of this request. Raises OutboundRefused.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        body = json.dumps(document).encode("ascii")
        return self._request("POST", url, body, headers, longest=longest, seconds=seconds)

    def _request(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        longest: int,
        seconds: float | None = None,
    ) -> Answer:
        parts = _parts(url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
        deadline = time.monotonic() + (TOTAL_SECONDS if seconds is None else seconds)
        try:
            addresses = self._addresses(host, port, deadline, is_plain=parts.scheme == "http")
            with self._connect(addresses, port, deadline) as plain:
                if parts.scheme == "http":
                    return _exchange(plain, method, parts, body, headers, deadline=deadline, longest=longest)
                plain.settimeout(_left(deadline))
                with self._tls.wrap_socket(plain, server_hostname=host) as wrapped:
                    return _exchange(wrapped, method, parts, body, headers, deadline=deadline, longest=longest)
        except TimeoutError:
            raise OutboundRefused(Reason.TIMEOUT) from None
        except ssl.SSLError:
            raise OutboundRefused(Reason.TLS) from None
        except (OSError, http.client.HTTPException, ValueError):
            raise OutboundRefused(Reason.BROKEN) from None

    def _addresses(self, host: str, port: int, deadline: float, *, is_plain: bool) -> tuple[Address, ...]:
        """Return the addresses of `host` once all of them may be asked: one bad one is a name server at play."""
        try:
            found = (host,) if _is_literal(host) else self._look_up(host, port, deadline)
            addresses = tuple(dict.fromkeys(ipaddress.ip_address(address) for address in found))
        except TimeoutError:
            raise
        except (OSError, ValueError):
            raise OutboundRefused(Reason.NAME) from None
        if not addresses:
            raise OutboundRefused(Reason.NAME)
        if not all(self._may_ask(address, host, is_plain=is_plain) for address in addresses):
            raise OutboundRefused(Reason.NETWORK)
        return addresses

    def _look_up(self, host: str, port: int, deadline: float) -> Collection[str]:
        return self._lookups.submit(self._resolve, host, port).result(timeout=_left(deadline))

    def _may_ask(self, address: Address, host: str, *, is_plain: bool) -> bool:
        if self._is_sandbox and address.is_loopback and getattr(address, "ipv4_mapped", None) is None:
            return True
        if is_plain:
            return False
        return is_public(address) or (host in self._private_hosts and _is_private(address))

    def _connect(self, addresses: tuple[Address, ...], port: int, deadline: float) -> socket.socket:
        limit = min(deadline, time.monotonic() + CONNECT_SECONDS)
        is_late = False
        for address in addresses:
            try:
                return socket.create_connection((str(address), port), timeout=_left(limit))
            except TimeoutError:
                is_late = True
            except OSError:
                is_late = False
        raise OutboundRefused(Reason.TIMEOUT if is_late else Reason.CONNECT)


def _presented(authorization: str | None, proof: str | None) -> dict[str, str]:
    return ({"Authorization": authorization} if authorization else {}) | ({"DPoP": proof} if proof else {})


def is_public(address: Address) -> bool:
    """Tell whether `address` is on the public Internet, and not a way of writing another one (RFC 6890)."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _is_in(address, _IPV4_REFUSED)
    return address in _IPV6_OUTSIDE and address.is_global and not _is_in(address, _IPV6_REFUSED)


def _is_private(address: Address) -> bool:
    return address in _IPV6_PRIVATE if isinstance(address, IPv6Address) else _is_in(address, _IPV4_PRIVATE)


def _is_in(address: Any, networks: tuple[Any, ...]) -> bool:
    return any(address in network for network in networks)


def _parts(url: str) -> SplitResult:
    """Return `url` in its parts: absolute, http or https, nobody's name in it, no fragment, visible ASCII only."""
    try:
        parts = urlsplit(url)
        is_usable = (
            len(url) <= LONGEST_URL
            and _VISIBLE.fullmatch(url)
            and parts.scheme in _DEFAULT_PORTS
            and parts.hostname
            and parts.port != 0
            and "@" not in parts.netloc
            and "\\" not in url
            and "#" not in url
        )
    except ValueError:
        is_usable = False
    if not is_usable:
        raise OutboundRefused(Reason.ADDRESS)
    return parts


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _resolve(host: str, port: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _exchange(
    sock: socket.socket,
    method: str,
    parts: SplitResult,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    deadline: float,
    longest: int,
) -> Answer:
    connection = http.client.HTTPConnection(parts.netloc)
    connection.sock = _Timed(sock, deadline)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fixed = {"Host": parts.netloc, "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "LienKet"}
    connection.request(method, target, body, {**fixed, **headers})
    response = connection.getresponse()
    if 300 <= response.status < 400:  # noqa: PLR2004 (RFC 9110, 15.4)
        raise OutboundRefused(Reason.REDIRECT)
    if response.getheader("Content-Encoding", "identity").strip().lower() != "identity":
        # Some kilobytes can unpack to gigabytes; nobody was asked to pack.
        raise OutboundRefused(Reason.ENCODED)
    content = _content(response, longest)
    received = {name.lower(): value for name, value in response.getheaders()}
    media_type = received.get("content-type", "").partition(";")[0].strip().lower()
    return Answer(response.status, media_type, content, received)


def _content(response: http.client.HTTPResponse, longest: int) -> bytes:
    if (response.length or 0) > longest:
        raise OutboundRefused(Reason.LENGTH)
    content = bytearray()
    while piece := response.read(_PIECE):
        content += piece
        if len(content) > longest:
            raise OutboundRefused(Reason.LENGTH)
    if response.length:
        # The sender said more was coming.
        raise OutboundRefused(Reason.BROKEN)
    return bytes(content)


class _Timed:
    """A socket whose every wait ends at one deadline: as much of one as http.client uses."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def close(self) -> None:
        """Leave the socket to whoever opened it."""


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)
