"""The guarded door out, against real servers on loopback and name servers that lie."""

import gzip
import ipaddress
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from idp.core import outbound
from idp.core.outbound import Outbound, OutboundRefused, Reason, is_public

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """A loopback server that reads one request head and hands the socket to `answer`; keeps what it read."""

    def __init__(self, answer: bytes | Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self.server_names: list[str | None] = []
        self._answer = answer
        self._tls = tls
        if tls is not None:
            tls.sni_callback = lambda _sock, name, _context: self.server_names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head and (piece := sock.recv(4096)):
                head += piece
            self.heads.append(head)
            if callable(self._answer):
                self._answer(sock)
            else:
                sock.sendall(self._answer)
        except OSError:
            pass
        finally:
            sock.close()

    def close(self) -> None:
        # Closing alone would not wake the thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def serving(answer: bytes | Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(answer, tls)
    try:
        yield server
    finally:
        server.close()


def here(**changes: Any) -> Outbound:
    return Outbound(**{"is_sandbox": True, **changes})


def reason_of(url: str, guarded: Outbound | None = None, **arguments: Any) -> Reason:
    with pytest.raises(OutboundRefused) as refused:
        (guarded or here()).get(url, **{"accept": "application/json", **arguments})
    return refused.value.reason


def answer_with(*lines: str, body: bytes = b"") -> bytes:
    head = ["HTTP/1.1 200 OK", "Content-Type: text/plain", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def test_an_answer_comes_back_whole_when_the_address_is_right() -> None:
    with serving(OK) as server:
        answer = here().get(f"http://127.0.0.1:{server.port}/keys?a=b", accept="application/json")
    assert (answer.status, answer.media_type, answer.body) == (200, "application/json", b"{}")
    assert answer.headers["content-length"] == "2"
    head = server.heads[0].decode()
    assert head.startswith("GET /keys?a=b HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in head
    assert head.count("Host:") == head.count("Accept-Encoding: identity") == 1


def test_a_form_is_sent_in_the_body_when_posted() -> None:
    bodies: list[bytes] = []

    def read_on(sock: socket.socket) -> None:
        sock.settimeout(0.5)
        bodies.append(server.heads[0].partition(b"\r\n\r\n")[2] or sock.recv(4096))
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serving(read_on) as server:
        answer = here().post_form(f"http://127.0.0.1:{server.port}/logout", {"logout_token": "a.b+c"})
    assert answer.status == 204
    assert bodies == [b"logout_token=a.b%2Bc"]
    assert b"Content-Type: application/x-www-form-urlencoded" in server.heads[0]


def test_a_document_is_sent_as_json_with_the_token_when_there_is_one() -> None:
    bodies: list[bytes] = []

    def read_on(sock: socket.socket) -> None:
        sock.settimeout(0.5)
        bodies.append(server.heads[-1].partition(b"\r\n\r\n")[2] or sock.recv(4096))
        sock.sendall(OK)

    with serving(read_on) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert here().post_json(url, {"HoVaTen": "Đỗ"}, bearer="abc.def").body == b"{}"
        here().post_json(url, {})
    assert bodies == [b'{"HoVaTen": "\\u0110\\u1ed7"}', b"{}"]
    first, second = server.heads
    assert b"\r\nAuthorization: Bearer abc.def\r\n" in first
    assert b"\r\nContent-Type: application/json\r\n" in first
    assert b"\r\nAccept: application/json\r\n" in first
    assert b"Authorization" not in second


def test_a_document_has_a_deadline_of_its_own_when_asked() -> None:
    def listening(sock: socket.socket) -> None:
        while sock.recv(4096):
            pass

    with serving(listening) as server:
        began = time.monotonic()
        with pytest.raises(OutboundRefused) as refused:
            here().post_json(f"http://127.0.0.1:{server.port}/", {}, seconds=0.3)
    assert refused.value.reason is Reason.TIMEOUT
    assert time.monotonic() - began < 2


def test_a_refusal_of_the_other_side_is_an_answer() -> None:
    with serving(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as server:
        assert here().get(f"http://127.0.0.1:{server.port}/", accept="*/*").status == 404


def test_proxies_and_cookies_are_not_used_when_the_environment_names_some(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(OK) as server:
        assert here().get(f"http://127.0.0.1:{server.port}/", accept="*/*").status == 200


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keys",
        "//127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://",
        "http://user@127.0.0.1/",
        "http://user:word@127.0.0.1/",
        "http://@127.0.0.1/",
        "http://127.0.0.1/#x",
        "http://127.0.0.1\\@evil.example/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "http://127.0.0.1/\x00",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://dịchvụ.example/",
        "http://127.0.0.1/" + "a" * 2_000,
    ],
)
def test_an_address_is_refused_when_it_is_no_plain_web_address(url: str) -> None:
    assert reason_of(url) is Reason.ADDRESS


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
        "2002:7f00:1::1", "2002:808:808::1", "2001::1", "2001:db8::1", "100::1", "3fff::1", "5f00::1",
    ],
)  # fmt: skip
@pytest.mark.holds("BCL-2.5-3", "RFC7591-5-1")
def test_an_address_is_refused_when_it_is_not_on_the_public_internet(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    production = Outbound(is_sandbox=False, resolve=lambda _host, _port: [address])
    assert reason_of("https://rp.example/", production) is Reason.NETWORK
    literal = f"[{address}]" if ":" in address else address
    assert reason_of(f"https://{literal}/", Outbound(is_sandbox=False)) is Reason.NETWORK


def test_an_address_is_public_when_anybody_can_reach_it() -> None:
    assert is_public(ipaddress.ip_address("8.8.8.8"))
    assert is_public(ipaddress.ip_address("2606:4700::1111"))


def test_one_bad_address_spoils_the_name_when_others_are_good() -> None:
    answers = ["8.8.8.8", "10.0.0.1"]
    assert reason_of("https://rp.example/", here(resolve=lambda *_: answers)) is Reason.NETWORK


@pytest.mark.parametrize("url", ["https://2130706433/", "https://0x7f.1/", "https://0/", "https://localhost/"])
def test_production_does_not_ask_loopback_however_it_is_written(url: str) -> None:
    def system(host: str, port: int) -> list[str]:
        # The guard of the test run refuses odd names; the C library reads them as these.
        return ["127.0.0.1"] if host != "0" else ["0.0.0.0"]

    assert reason_of(url, Outbound(is_sandbox=False, resolve=system)) is Reason.NETWORK


def test_production_refuses_http_when_the_address_is_public() -> None:
    assert reason_of("http://rp.example/", Outbound(is_sandbox=False, resolve=lambda *_: ["8.8.8.8"])) is Reason.NETWORK


def test_the_sandbox_asks_http_on_loopback_only() -> None:
    assert reason_of("http://rp.example/", here(resolve=lambda *_: ["8.8.8.8"])) is Reason.NETWORK
    assert reason_of("http://rp.example/", here(resolve=lambda *_: ["::ffff:127.0.0.1"])) is Reason.NETWORK


def test_a_private_network_is_asked_only_by_names_that_were_allowed() -> None:
    def judged(address: str, host: str) -> bool:
        guarded = Outbound(is_sandbox=False, private_hosts={"noibo.example"})
        return guarded._may_ask(ipaddress.ip_address(address), host, is_plain=False)

    assert judged("10.1.2.3", "noibo.example")
    assert judged("fd00::1", "noibo.example")
    assert not judged("10.1.2.3", "khac.example")
    assert not any(judged(address, "noibo.example") for address in ("127.0.0.1", "169.254.169.254", "::1", "0.0.0.0"))


def test_a_name_is_looked_up_once_when_the_second_answer_would_differ() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    with serving(OK) as server:
        guarded = here(resolve=lambda *_: next(answers))
        assert guarded.get(f"http://rp.example:{server.port}/", accept="*/*").status == 200
        assert reason_of(f"http://rp.example:{server.port}/", guarded) is Reason.NETWORK
    assert f"Host: rp.example:{server.port}".encode() in server.heads[0]
    assert len(server.heads) == 1


def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    with serving(OK) as server:
        guarded = here(resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
        assert guarded.get(f"http://rp.example:{server.port}/", accept="*/*").status == 200


def test_a_name_without_address_and_a_port_without_server_are_told_apart() -> None:
    def nobody(_host: str, _port: int) -> list[str]:
        raise socket.gaierror

    assert reason_of("https://rp.example/", here(resolve=nobody)) is Reason.NAME
    assert reason_of("https://rp.example/", here(resolve=lambda *_: [])) is Reason.NAME
    with serving(OK) as server:
        closed = server.port
    assert reason_of(f"http://127.0.0.1:{closed}/") is Reason.CONNECT


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.holds("BCL-2.5-3", "RFC7591-5-1")
def test_a_redirect_is_not_followed(status: int) -> None:
    with serving(OK) as inside:
        location = f"http://127.0.0.1:{inside.port}/secret"
        with serving(f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()) as server:
            assert reason_of(f"http://127.0.0.1:{server.port}/") is Reason.REDIRECT
        assert inside.heads == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x"])
def test_a_packed_answer_is_refused(encoding: str) -> None:
    packed = gzip.compress(b"\0" * 10_000_000)
    with serving(answer_with(f"Content-Encoding: {encoding}", f"Content-Length: {len(packed)}", body=packed)) as server:
        assert reason_of(f"http://127.0.0.1:{server.port}/") is Reason.ENCODED


def endless(sock: socket.socket) -> None:
    sock.sendall(answer_with("Transfer-Encoding: chunked"))
    while True:
        sock.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        answer_with("Content-Length: 1001", body=b"x" * 1001),
        answer_with("Content-Length: 99999999999999"),
        answer_with(body=b"x" * 1001),
        endless,
    ],
)
@pytest.mark.holds("RFC7591-5-1")
def test_a_long_answer_is_refused_when_it_says_so_or_not(answer: Any) -> None:
    with serving(answer) as server:
        assert reason_of(f"http://127.0.0.1:{server.port}/", longest=1_000) is Reason.LENGTH


def test_an_answer_of_just_the_longest_length_is_taken() -> None:
    with serving(answer_with("Content-Length: 1000", body=b"x" * 1000)) as server:
        answer = here().get(f"http://127.0.0.1:{server.port}/", accept="*/*", longest=1_000)
    assert len(answer.body) == 1_000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        answer_with("Content-Length: 10", body=b"short"),
        answer_with("Transfer-Encoding: chunked", body=b"zz\r\n"),
        answer_with("Transfer-Encoding: chunked", body=b"5\r\nab"),
    ],
)
def test_an_answer_is_refused_when_it_is_no_whole_http(answer: bytes) -> None:
    with serving(answer) as server:
        assert reason_of(f"http://127.0.0.1:{server.port}/") is Reason.BROKEN


def dripping_head(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"H")
        time.sleep(0.1)


def dripping_body(sock: socket.socket) -> None:
    sock.sendall(answer_with("Content-Length: 1000"))
    while True:
        sock.sendall(b"x")
        time.sleep(0.1)


def going_on(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


def silent(sock: socket.socket) -> None:
    sock.recv(1)


@pytest.mark.parametrize("answer", [dripping_head, dripping_body, going_on, silent])
def test_a_slow_sender_is_left_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.8)
    with serving(answer) as server:
        began = time.monotonic()
        assert reason_of(f"http://127.0.0.1:{server.port}/") is Reason.TIMEOUT
    assert time.monotonic() - began < 2


def test_a_name_server_that_hangs_is_left_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.3)
    woken = threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        woken.wait(10)
        return ["127.0.0.1"]

    assert reason_of("https://rp.example/", here(resolve=hanging)) is Reason.TIMEOUT
    woken.set()


def test_a_handshake_that_never_comes_is_left_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert reason_of(f"https://127.0.0.1:{mute.getsockname()[1]}/") is Reason.TIMEOUT


# --- TLS --------------------------------------------------------------------------------------------------------


def authority(directory: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """Make a self-signed certificate for `names`; return it as a file, and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    file = directory / f"{names[0]}.pem"
    file.write_bytes(pem)
    whole = directory / f"{names[0]}.key"
    whole.write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(whole)
    return file, context


def test_tls_is_verified_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path, "rp.example")
    with serving(OK, context) as server:
        guarded = here(ca_file=ca_file, resolve=lambda *_: ["127.0.0.1"])
        assert guarded.get(f"https://rp.example:{server.port}/", accept="*/*").status == 200
        assert server.server_names == ["rp.example"]
        assert reason_of(f"https://other.example:{server.port}/", guarded) is Reason.TLS
        assert reason_of(f"https://127.0.0.1:{server.port}/", guarded) is Reason.TLS


def test_a_certificate_of_nobody_we_know_is_refused(tmp_path: Path) -> None:
    _, context = authority(tmp_path, "rp.example")
    with serving(OK, context) as server:
        assert reason_of(f"https://rp.example:{server.port}/", here(resolve=lambda *_: ["127.0.0.1"])) is Reason.TLS


def test_our_certificate_is_shown_when_the_server_asks_for_one(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path, "register.example")
    ours, _ = authority(tmp_path, "lienket.example")
    stranger, _ = authority(tmp_path, "nobody.example")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ours)
    shown: list[Any] = []

    def look(sock: socket.socket) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        shown.append(sock.getpeercert())
        # Closing with something unread would reset the connection, and the answer with it.
        request = b""
        while not request.endswith(b"{}"):
            request += sock.recv(65_536)
        sock.sendall(OK)

    with serving(look, context) as server:
        url = f"https://register.example:{server.port}/"

        def ask(certificate: Path | None) -> Outbound:
            return here(ca_file=ca_file, client_certificate=certificate, resolve=lambda *_: ["127.0.0.1"])

        assert ask(ours.with_suffix(".key")).post_json(url, {}).status == 200
        for certificate in (None, stranger.with_suffix(".key")):
            with pytest.raises(OutboundRefused) as refused:
                ask(certificate).post_json(url, {})
            assert refused.value.reason in (Reason.TLS, Reason.BROKEN)
    [peer] = shown
    assert peer["subjectAltName"] == (("DNS", "lienket.example"),)


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    ca_file, _ = authority(tmp_path, "register.example")
    for unusable in (tmp_path / "missing.pem", ca_file):
        with pytest.raises(OSError):
            here(client_certificate=unusable)
    key = ec.generate_private_key(ec.SECP256R1())
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        ca_file.read_bytes()
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    with pytest.raises(OSError):
        here(client_certificate=locked)


def test_old_tls_is_refused(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path, "rp.example")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with serving(OK, context) as server:
        guarded = here(ca_file=ca_file, resolve=lambda *_: ["127.0.0.1"])
        assert reason_of(f"https://rp.example:{server.port}/", guarded) is Reason.TLS
