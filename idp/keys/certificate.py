"""A client's TLS certificate: its thumbprint, whom it names, and whether its key is a registered one (RFC 8705).

Whether the certificate holds (chain, revocation, possession of the key) was settled in the TLS handshake by the
proxy in front; here it is only read.
"""

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from joserfc.errors import JoseError

from idp.keys.jose import import_public

LONGEST_HEADER = 16_384
# Names that OpenSSL, nginx and Windows print in a DN and RFC 4514 does not list.
_ATTRIBUTES = {
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "E": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "organizationIdentifier": NameOID.ORGANIZATION_IDENTIFIER,
    "businessCategory": NameOID.BUSINESS_CATEGORY,
    "GN": NameOID.GIVEN_NAME,
    "SN": NameOID.SURNAME,
    "T": NameOID.TITLE,
    "S": NameOID.STATE_OR_PROVINCE_NAME,
}
_KINDS: Mapping[str, type[x509.GeneralName]] = {
    "tls_client_auth_san_dns": x509.DNSName,
    "tls_client_auth_san_uri": x509.UniformResourceIdentifier,
    "tls_client_auth_san_ip": x509.IPAddress,
    "tls_client_auth_san_email": x509.RFC822Name,
}
SUBJECT_MEMBERS = ("tls_client_auth_subject_dn", *_KINDS)


class CertificateRefused(Exception):
    """The header does not hold one certificate; the message quotes nothing of it."""


def from_header(value: str) -> bytes:
    """Return the DER of the certificate a proxy wrote into a header. Raises CertificateRefused.

    Known are the byte sequence of RFC 9440, 2.1 (`:BASE64:`) and URL-encoded PEM (nginx, `$ssl_client_escaped_cert`).
    """
    if len(value) > LONGEST_HEADER or not value.isascii() or "," in value:
        # A comma joins two headers of one name: one of them came from somebody else.
        raise CertificateRefused("not one certificate")
    try:
        if value.startswith(":"):
            der = base64.b64decode(value.removeprefix(":").removesuffix(":"), validate=True)
            return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.DER)
        pem = unquote(value, errors="strict").encode("ascii")
        return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    except (ValueError, binascii.Error, UnicodeError):
        raise CertificateRefused("not one certificate") from None


def thumbprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate in base64url, as `x5t#S256` has it (RFC 8705, 3.1)."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def names(der: bytes, expected: Mapping[str, str]) -> bool:
    """Tell whether a certificate names the subject a client registered: one of SUBJECT_MEMBERS (RFC 8705, 2.1.2)."""
    if len(expected) != 1:
        return False
    [(member, value)] = expected.items()
    try:
        certificate = x509.load_der_x509_certificate(der)
        if member == "tls_client_auth_subject_dn":
            return _comparable(certificate.subject) == _comparable(read_name(value))
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        given = [name.value for name in alternatives if isinstance(name, _KINDS[member])]
    except (ValueError, KeyError, x509.ExtensionNotFound, UnsupportedAlgorithm):
        return False
    if member == "tls_client_auth_san_ip":
        try:
            return ipaddress.ip_address(value) in given
        except ValueError:
            return False
    if member == "tls_client_auth_san_dns":
        return value.lower() in (name.lower() for name in given)
    return value in given


def read_name(text: str) -> x509.Name:
    """Return the distinguished name in an RFC 4514 string. Raises ValueError."""
    return x509.Name.from_rfc4514_string(text, {**_ATTRIBUTES})


def has_key_of(der: bytes, jwks: Mapping[str, Any]) -> bool:
    """Tell whether a self-signed certificate holds one of a client's registered keys (RFC 8705, 2.2.2)."""
    try:
        presented = _public_bytes(x509.load_der_x509_certificate(der).public_key())
        registered = [import_public(jwk).raw_value for jwk in jwks["keys"] if jwk.get("use", "sig") == "sig"]
    except (ValueError, TypeError, KeyError, AttributeError, JoseError, UnsupportedAlgorithm):
        return False
    return any(presented == _public_bytes(key) for key in registered)


def _public_bytes(key: Any) -> bytes:
    raw: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return raw


def _comparable(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    """Return a name as its parts in order, compared as RFC 5280, 7.1 says: without regard to case and double spaces.

    How each part was encoded in the certificate (PrintableString, UTF8String) and how the string spelled its
    attributes does not matter.
    """
    return [
        frozenset((part.oid.dotted_string, " ".join(str(part.value).casefold().split())) for part in group)
        for group in name.rdns
    ]
