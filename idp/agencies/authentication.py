"""How a client document says the client proves itself: method, public keys, the subject of its TLS certificate."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp.agencies import addresses, uris
from idp.agencies.metadata import AuthMethod, Profile
from idp.agencies.reading import Reader
from idp.keys import certificate, encryption, public_jwk
from idp.keys.certificate import SUBJECT_MEMBERS
from idp.keys.jose import CLIENT_ALGORITHMS, FAPI_ALGORITHMS, verification_keys

MAX_KEYS = 10
MAX_SUBJECT = 500
_ASSERTION_ALGORITHM = "token_endpoint_auth_signing_alg"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a document says about the client's own keys and method; `keys` are those written in it."""

    method: AuthMethod | None
    algorithms: tuple[str, ...]
    jwks: dict[str, Any] | None
    jwks_uri: str | None
    tls_subject: dict[str, str]

    @property
    def has_keys(self) -> bool:
        """Tell whether the client has public keys at all, written or published."""
        return self.jwks is not None or self.jwks_uri is not None

    def may_encrypt(self, alg: str) -> bool:
        """Tell whether answers can be encrypted with `alg`; of published keys nobody knows before they are read."""
        keys = self.jwks["keys"] if self.jwks is not None else []
        return self.jwks_uri is not None or any(encryption.is_for_encryption(key, alg) for key in keys)


def read(reader: Reader, profile: Profile, *, is_sandbox: bool) -> Proof:
    """Return what the document says; problems go to `reader`."""
    written = reader.choice("token_endpoint_auth_method", tuple(AuthMethod), default=AuthMethod.SECRET_BASIC)
    method = None if written is None else AuthMethod(written)
    known = FAPI_ALGORITHMS if profile is Profile.FAPI2 else CLIENT_ALGORITHMS
    algorithms: tuple[str, ...] = ()
    if method is AuthMethod.PRIVATE_KEY_JWT:
        algorithms = known
        if chosen := reader.optional_choice(_ASSERTION_ALGORITHM, known):
            algorithms = (chosen,)
    elif _ASSERTION_ALGORITHM in reader.members:
        reader.refuse(_ASSERTION_ALGORITHM, f"is only used with {AuthMethod.PRIVATE_KEY_JWT}; drop it")
    jwks_uri = addresses.single(reader, "jwks_uri", is_sandbox=is_sandbox)
    jwks = _jwks(reader, known) if "jwks" in reader.members else None
    if jwks_uri is not None and "jwks" in reader.members:
        reader.refuse("jwks", "stands beside jwks_uri; give one of them (RFC 7591, 2)")
    needs_keys = method in (AuthMethod.PRIVATE_KEY_JWT, AuthMethod.SELF_SIGNED_TLS)
    if needs_keys and jwks_uri is None and "jwks" not in reader.members:
        reader.refuse("jwks", f"is missing; {method} needs public keys, as jwks or at jwks_uri")
    if jwks is not None and algorithms and not any(verification_keys(key, algorithms) for key in jwks["keys"]):
        reader.refuse("jwks.keys", f"none can sign with {' or '.join(algorithms)}, which {method} needs")
    return Proof(method, algorithms, jwks, jwks_uri, _tls_subject(reader, method))


def _jwks(reader: Reader, algorithms: tuple[str, ...]) -> dict[str, Any] | None:
    jwks = reader.members.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if (
        not isinstance(keys, list)
        or not 1 <= len(keys) <= MAX_KEYS
        or not all(isinstance(key, Mapping) for key in keys)
    ):
        reader.refuse("jwks", f'must be {{"keys": [...]}} with 1 to {MAX_KEYS} public keys')
        return None
    kept = []
    for number, key in enumerate(keys):
        try:
            kept.append(public_jwk.checked(key, algorithms))
        except public_jwk.JwkRefused as refused:
            reader.refuse(f"jwks.keys[{number}]", str(refused))
    names = [key.get("kid") for key in kept]
    if len(kept) > 1 and (None in names or len(set(names)) != len(names)):
        reader.refuse("jwks.keys", "need a kid each, all different, because there are several")
    return None if reader.has_problem("jwks") else {"keys": kept}


def _tls_subject(reader: Reader, method: AuthMethod | None) -> dict[str, str]:
    """Return the one name a certificate must carry with tls_client_auth (RFC 8705, 2.1.2)."""
    given = [member for member in SUBJECT_MEMBERS if member in reader.members]
    if method is not AuthMethod.TLS:
        for member in given:
            reader.refuse(member, f"is only used with {AuthMethod.TLS}; drop it")
        return {}
    if len(given) != 1:
        reader.refuse(
            "token_endpoint_auth_method", f"{AuthMethod.TLS} needs exactly one of {', '.join(SUBJECT_MEMBERS)}"
        )
        return {}
    [member] = given
    name = reader.text(member, longest=MAX_SUBJECT)
    if name is None:
        return {}
    if member.endswith("_ip"):
        try:
            name = str(ipaddress.ip_address(name))
        except ValueError:
            reader.refuse(member, "must be an IP address")
    elif member.endswith("_dn"):
        try:
            certificate.read_name(name)
        except ValueError:
            reader.refuse(member, "must be a distinguished name as in RFC 4514")
    elif member.endswith("_dns") and not uris.is_host(name):
        reader.refuse(member, "must be a host name in small letters")
    return {member: name}
