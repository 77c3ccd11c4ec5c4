"""Mail over the wire: encrypted or not at all, within its time, to one address, with nothing smuggled into it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey

from idp.core.ids import new_id
from idp.core.settings import Settings, SettingsRefused
from idp.notify import mail
from idp.notify.channels import Letter, NotCarried
from idp.notify.mail import CREDENTIALS, FolderCarrier, SmtpCarrier, carrier_of, message
from tests.certificates import issued
from tests.mailbox import PASSWORD, USER, mailbox
from tests.unit.notify.conftest import SENDER

LETTER = Letter("vi", "Tiêu đề có dấu", "Nội dung: được.\n", "<p>Nội dung: được.</p>\n", "Ngắn")
TO = "hoa@thu.example"


def letter_to(address: str, *, letter: Letter = LETTER) -> mail.EmailMessage:
    return message(letter, to=address, sender=SENDER, notice_id=new_id())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS for 127.0.0.1, and the file with the authority to trust."""
    folder = tmp_path_factory.mktemp("tls")
    key = ECKey.generate_key("P-256")
    made = issued(key, "thu", alternatives=[x509.IPAddress(ip_address("127.0.0.1"))], is_authority=True)
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.as_pem(private=True))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


def test_a_mail_is_encrypted_and_signed_in_when_the_server_asks_for_it(
    certificate: tuple[ssl.SSLContext, Path],
) -> None:
    tls, authority = certificate
    with mailbox(tls=tls, asks_for_password=True) as server:
        SmtpCarrier(server.url, seconds=10, credentials=(USER, PASSWORD), ca_file=authority).carry(letter_to(TO))
        with pytest.raises(NotCarried) as refused:
            SmtpCarrier(server.url, seconds=10, credentials=(USER, "wrong"), ca_file=authority).carry(letter_to(TO))
    # The operator's to mend: the notice waits.
    assert (refused.value.outcome, refused.value.is_final) == ("status 535", False)
    [received] = server.received
    assert received.was_encrypted
    assert received.message["Subject"] == "Tiêu đề có dấu"
    assert received.body() == LETTER.text
    assert received.body("html") == LETTER.html


def test_no_mail_goes_when_the_server_is_not_whom_it_says(certificate: tuple[ssl.SSLContext, Path]) -> None:
    with mailbox(tls=certificate[0]) as server, pytest.raises(NotCarried) as refused:
        SmtpCarrier(server.url, seconds=10).carry(letter_to(TO))
    assert (refused.value.outcome, refused.value.is_final, server.received) == ("tls", False, [])


def test_neither_mail_nor_password_goes_in_the_open_when_the_server_has_no_tls() -> None:
    with mailbox() as server, pytest.raises(NotCarried) as refused:
        SmtpCarrier(server.url, seconds=10, credentials=(USER, PASSWORD)).carry(letter_to(TO))
    assert (refused.value.outcome, refused.value.is_final, server.received) == ("tls", False, [])


def test_tls_is_spoken_from_the_first_byte_when_the_address_is_smtps(
    certificate: tuple[ssl.SSLContext, Path],
) -> None:
    tls, authority = certificate
    with talking(b"220 ready\r\n", tls=tls) as port, pytest.raises(NotCarried) as refused:
        SmtpCarrier(f"smtps://127.0.0.1:{port}", seconds=2, ca_file=authority).carry(letter_to(TO))
    # It understood the greeting, and waited for the answer to its own.
    assert refused.value.outcome == "timeout"


@contextmanager
def talking(greeting: bytes, *, tls: ssl.SSLContext | None = None, every: float = 60) -> Iterator[int]:
    """Yield the port of a server that says `greeting`, again and again, and listens to nothing."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection if tls is None else tls.wrap_socket(connection, server_side=True) as spoken:
            try:
                while not over.is_set():
                    spoken.sendall(greeting)
                    over.wait(every)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(10)


@pytest.mark.parametrize(("greeting", "every"), [(b"", 60.0), (b"220-one moment\r\n", 0.2)])
def test_a_mail_takes_its_time_and_no_more_when_the_server_is_slow(greeting: bytes, every: float) -> None:
    with talking(greeting, every=every) as port:
        began = monotonic()
        with pytest.raises(NotCarried) as refused:
            SmtpCarrier(f"smtp://127.0.0.1:{port}", seconds=1, is_plain=True).carry(letter_to(TO))
        assert monotonic() - began < 5
    assert (refused.value.outcome, refused.value.is_final) == ("timeout", False)


@pytest.mark.parametrize(
    "address",
    [
        "hoa@thu.example\r\nBcc: all@thu.example",
        "hoa@thu.example\nBcc: all@thu.example",
        "hoa@thu.example, all@thu.example",
        "all@thu.example,hoa@thu.example",
        "<all@thu.example>hoa@thu.example",
        '"hoa@thu.example> RCPT TO:<all"@thu.example',
        "hoa(all@thu.example)@thu.example",
        "hòa@thu.example",
        "hoa@localhost",
        "hoa@thu..example",
        "@thu.example",
        "hoa",
        "",
        "hoa@" + "a" * 64 + ".example",
    ],
)
def test_no_mail_is_made_for_what_is_not_exactly_one_address(address: str) -> None:
    with pytest.raises(NotCarried) as refused:
        letter_to(address)
    assert (refused.value.outcome, refused.value.is_final) == ("no address", True)
    # Its cause quotes the address, and a log might quote the cause.
    assert refused.value.__suppress_context__


def test_the_domain_is_written_for_the_dns_when_it_is_vietnamese() -> None:
    assert letter_to("hoa@thư.example")["To"] == "hoa@xn--th-e0a.example"


@pytest.mark.parametrize("broken", ["x\r\nBcc: all@thu.example", "x\nBcc: all@thu.example"])
def test_a_subject_cannot_begin_another_header(broken: str) -> None:
    with pytest.raises(NotCarried):
        letter_to(TO, letter=Letter("vi", broken, "x", "x", "x"))


def test_a_mail_says_what_it_is_and_holds_only_ascii_on_the_wire() -> None:
    made = letter_to(TO)
    raw = bytes(made)
    assert raw.isascii()
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    read = message_from_bytes(raw, policy=default)
    assert read["From"] == SENDER
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Content-Language"] == "vi"
    assert read["Message-ID"].endswith("@lienket.example>")
    assert read.get_content_type() == "multipart/alternative"


def test_mails_become_files_when_a_folder_is_set(tmp_path: Path) -> None:
    carrier = carrier_of(Settings(mail_folder=tmp_path / "thư", mail_from=SENDER))
    assert isinstance(carrier, FolderCarrier)
    carrier.carry(letter_to(TO))
    [file] = (tmp_path / "thư").iterdir()
    assert file.suffix == ".eml"
    assert message_from_bytes(file.read_bytes(), policy=default)["To"] == TO
    (tmp_path / "file").touch()
    with pytest.raises(NotCarried) as refused:
        FolderCarrier(tmp_path / "file").carry(letter_to(TO))
    assert (refused.value.outcome, refused.value.is_final) == ("folder", False)


def test_nothing_carries_when_nothing_is_set() -> None:
    assert carrier_of(Settings()) is None


def test_credentials_are_refused_when_they_are_not_two_lines_or_open_to_others(tmp_path: Path) -> None:
    file = tmp_path / CREDENTIALS
    settings = {"mail_server": "smtps://mail.example", "mail_from": SENDER, "secrets_dir": tmp_path}
    file.write_text("one line\n", "utf-8")
    with pytest.raises(SettingsRefused, match="password on the second"):
        carrier_of(Settings(**settings))
    file.write_text(f"{USER}\n{PASSWORD}\n", "utf-8")
    assert carrier_of(Settings(**settings)) is not None
    production = settings | {"profile": "production", "issuer": "https://id.example"}
    file.chmod(0o644)
    with pytest.raises(SettingsRefused, match="chmod 600"):
        carrier_of(Settings(**production))
    file.chmod(0o600)
    assert carrier_of(Settings(**production)) is not None
