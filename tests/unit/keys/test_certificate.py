"""RFC 8705, 2.1.2, 2.2.2 and 3.1: what a client certificate says, and to whom it belongs."""

import ipaddress
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp.keys import certificate
from idp.keys.certificate import CertificateRefused
from tests.certificates import issued

NAME = [
    (NameOID.COUNTRY_NAME, "VN"),
    (NameOID.ORGANIZATION_NAME, "Tổng cục Thuế"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Cổng, dịch vụ"),
    (NameOID.SERIAL_NUMBER, "0100231226"),
    (NameOID.EMAIL_ADDRESS, "it@etax.example"),
    (NameOID.COMMON_NAME, "etax"),
]
ALTERNATIVES = (
    x509.DNSName("etax.example"),
    x509.UniformResourceIdentifier("https://etax.example/client"),
    x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
    x509.RFC822Name("client@etax.example"),
)
KEY = ECKey.generate_key("P-256", {"kid": "tls"})
OF_ETAX = issued(KEY, NAME, alternatives=ALTERNATIVES)
DER = OF_ETAX.public_bytes(Encoding.DER)
DN = "tls_client_auth_subject_dn"


def test_the_certificate_is_found_in_either_form_of_header() -> None:
    pem = OF_ETAX.public_bytes(Encoding.PEM).decode()
    import base64

    for header in (quote(pem, safe=""), quote(pem), f":{base64.b64encode(DER).decode()}:"):
        assert certificate.from_header(header) == DER


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        "::",
        ":AAAA:",
        ":!!!:",
        quote("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "é",
        "a,b",
        quote(OF_ETAX.public_bytes(Encoding.PEM).decode()) + "," + quote(OF_ETAX.public_bytes(Encoding.PEM).decode()),
        "%ff%fe",
        "a" * 20_000,
    ],
    ids=lambda header: header[:12],
)
def test_anything_else_is_no_certificate(header: str) -> None:
    with pytest.raises(CertificateRefused):
        certificate.from_header(header)


@pytest.mark.holds("RFC8705-3.1-1", "RFC8705-7.1-1")
def test_the_thumbprint_is_that_of_the_specification() -> None:
    # RFC 8705, A: the certificate of the example and its x5t#S256.
    header = (
        ":MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UE"
        "AwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneI"
        "XhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjw"
        "D5vaUaKlLR50Q2DmFfQj1L+SY=:"
    )
    assert certificate.thumbprint(certificate.from_header(header)) == "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


@pytest.mark.parametrize(
    "registered",
    [
        OF_ETAX.subject.rfc4514_string(),
        "CN=etax,1.2.840.113549.1.9.1=it@etax.example,2.5.4.5=0100231226,OU=Cổng\\, dịch vụ,O=Tổng cục Thuế,C=VN",
        "CN=etax,emailAddress=it@etax.example,serialNumber=0100231226,OU=Cổng\\2C dịch vụ,O=Tổng cục Thuế,C=VN",
        "CN=ETAX,E=it@etax.example,SERIALNUMBER=0100231226,OU=Cổng\\, dịch  vụ,O=TỔNG CỤC THUẾ,C=vn",
    ],
)
def test_the_registered_name_is_recognised_however_it_is_spelled(registered: str) -> None:
    assert certificate.names(DER, {DN: registered})


@pytest.mark.parametrize(
    "registered",
    [
        "",
        "etax",
        "CN=etax",
        "C=VN,O=Tổng cục Thuế,OU=Cổng\\, dịch vụ,2.5.4.5=0100231226,E=it@etax.example,CN=etax",
        "CN=etax,E=it@etax.example,SERIALNUMBER=0100231227,OU=Cổng\\, dịch vụ,O=Tổng cục Thuế,C=VN",
        "CN=etax+E=it@etax.example,SERIALNUMBER=0100231226,OU=Cổng\\, dịch vụ,O=Tổng cục Thuế,C=VN",
        "CN=etax,CN=etax,E=it@etax.example,SERIALNUMBER=0100231226,OU=Cổng\\, dịch vụ,O=Tổng cục Thuế,C=VN",
    ],
)
def test_another_name_is_not(registered: str) -> None:
    assert not certificate.names(DER, {DN: registered})


@pytest.mark.parametrize(
    ("member", "right", "wrong"),
    [
        ("tls_client_auth_san_dns", "ETAX.example", "x.etax.example"),
        ("tls_client_auth_san_dns", "etax.example", "etax.example."),
        ("tls_client_auth_san_uri", "https://etax.example/client", "https://etax.example/client/"),
        ("tls_client_auth_san_ip", "2001:db8:0:0::7", "2001:db8::8"),
        ("tls_client_auth_san_ip", "2001:db8::7", "etax.example"),
        ("tls_client_auth_san_email", "client@etax.example", "other@etax.example"),
    ],
)
@pytest.mark.holds("RFC8705-2.1.2-1")
def test_an_alternative_name_is_compared_with_its_own_kind(member: str, right: str, wrong: str) -> None:
    assert certificate.names(DER, {member: right})
    assert not certificate.names(DER, {member: wrong})
    assert not certificate.names(issued(KEY, NAME).public_bytes(Encoding.DER), {member: right})


@pytest.mark.holds("RFC8705-2.1.2-1")
def test_nothing_or_two_names_registered_is_nobody() -> None:
    assert not certificate.names(DER, {})
    assert not certificate.names(DER, {DN: OF_ETAX.subject.rfc4514_string(), "tls_client_auth_san_dns": "etax.example"})
    assert not certificate.names(DER, {"unheard_of": "etax"})
    assert not certificate.names(b"not a certificate", {DN: "CN=etax"})


@pytest.mark.parametrize(
    "key", [KEY, RSAKey.generate_key(2_048), OKPKey.generate_key("Ed25519")], ids=["EC", "RSA", "OKP"]
)
@pytest.mark.holds("RFC8705-2.2-1")
def test_a_self_signed_certificate_is_the_clients_when_it_holds_a_registered_key(key: ECKey) -> None:
    der = issued(key, NAME).public_bytes(Encoding.DER)
    other = ECKey.generate_key("P-256").as_dict(private=False)
    public = key.as_dict(private=False)
    assert certificate.has_key_of(der, {"keys": [other, public]})
    for keys in ([], [other], [{**public, "use": "enc"}], [{}], [7], None):
        assert not certificate.has_key_of(der, {"keys": keys})
    assert not certificate.has_key_of(b"x", {"keys": [public]})
