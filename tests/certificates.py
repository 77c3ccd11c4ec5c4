"""Certificates for tests, made on the spot."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID


def issued(
    key: Any,
    name: Sequence[tuple[x509.ObjectIdentifier, str]] | str,
    *,
    alternatives: Sequence[x509.GeneralName] = (),
    by: tuple[x509.Certificate, Any] | None = None,
    is_authority: bool = False,
) -> x509.Certificate:
    """Return a certificate for the joserfc key `key`, signed by itself or `by` an authority and its key."""
    parts = [(NameOID.COMMON_NAME, name)] if isinstance(name, str) else name
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    native = key.raw_value
    signing = (by[1] if by else key).raw_value
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(native.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(signing, None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256())
