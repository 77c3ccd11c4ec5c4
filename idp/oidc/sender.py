"""Sender constraint: that a token works only for whoever holds a key (DPoP, RFC 9449; mutual TLS, RFC 8705, 3).

Owns judging DPoP proofs and certificates at the endpoints that give tokens and at those that take them. Leaves the
form and signature of proofs to `keys.proof`, and writing the binding to whoever writes the token.

A binding is one short text everywhere, the *confirmation*: `jkt:THUMBPRINT` of a DPoP key, `x5t:THUMBPRINT` of a
certificate, or nothing for a bearer token.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from idp.agencies.clients import Client
from idp.agencies.metadata import AuthMethod
from idp.core import clock, errors
from idp.core.errors import Entry, ProtocolFailure
from idp.core.ids import digest, is_same
from idp.core.keyring import Purpose
from idp.keys import certificate, proof
from idp.keys.jose import TokenRefused
from idp.keys.proof import Proof
from idp.oidc.caller import Caller
from idp.oidc.statements import SPEND_PROOF
from idp.sso.services import Services

# Honest clocks differ by seconds (FAPI 2.0 Security Profile, 5.3.2.1, note 5). A nonce of ours says by itself that a
# proof is fresh, so that a client whose clock is minutes slow can still get a token.
SECONDS_AHEAD = 60
SECONDS_OLD = 60
SECONDS_OLD_WITH_NONCE = 300
# A nonce is good for this long at least, and twice as long at most.
NONCE_SLOT = 120
NONCE_HEADER = "DPoP-Nonce"
_PRESENTED = re.compile(r"(?i:(bearer|dpop)) +([A-Za-z0-9\-._~+/]+=*)")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Presented:
    """An access token as it came: `scheme` is `Bearer` or `DPoP`, whatever its case was."""

    scheme: str
    token: str


# --- where tokens are given -------------------------------------------------------------------------------------


def confirm(caller: Caller, client: Client, *, provider: Services, wants_nonce: bool = True) -> str:
    """Return the confirmation that tokens of this request get.

    Raises ProtocolFailure invalid_dpop_proof, use_dpop_nonce (with the nonce), or invalid_request where a client that
    must bind its tokens proves nothing. Called after the client has authenticated and before anything is spent.
    Side effects: spends the proof's `jti`.
    """
    if caller.proofs:
        accepted = _accept(caller, provider=provider, wants_nonce=wants_nonce)
        if not client.wants_tls_bound_tokens or client.wants_dpop:
            return f"jkt:{accepted.thumbprint}"
    if client.wants_dpop:
        raise ProtocolFailure(errors.PROOF_MISSING)
    if _binds_to_certificate(client) and caller.certificate is not None:
        return f"x5t:{certificate.thumbprint(caller.certificate)}"
    if client.wants_tls_bound_tokens:
        raise ProtocolFailure(errors.CERTIFICATE_MISSING)
    if client.requires_sender_constraint:
        raise ProtocolFailure(errors.PROOF_MISSING)
    return ""


def confirm_pushed(caller: Caller, client: Client, dpop_jkt: str | None, *, provider: Services) -> str:
    """Return the confirmation a pushed request asks its code to have: `jkt:...`, or nothing (RFC 9449, 10).

    `dpop_jkt` is the parameter; a DPoP header says the same. Raises ProtocolFailure, also when the two differ.
    """
    if dpop_jkt is not None and not _THUMBPRINT.fullmatch(dpop_jkt):
        raise ProtocolFailure(errors.DPOP_JKT_INVALID)
    if not caller.proofs:
        return "" if dpop_jkt is None else f"jkt:{dpop_jkt}"
    accepted = _accept(caller, provider=provider, wants_nonce=True)
    if dpop_jkt is not None and dpop_jkt != accepted.thumbprint:
        raise ProtocolFailure(errors.PROOF_KEY_DIFFERS)
    return f"jkt:{accepted.thumbprint}"


def nonce_header(caller: Caller, *, provider: Services) -> dict[str, str]:
    """Return the header that tells a client with a DPoP key the nonce of its next proof (RFC 9449, 8.2)."""
    if not caller.proofs or not provider.settings.dpop_nonce:
        return {}
    return {NONCE_HEADER: _nonce(_slot(), provider)}


def token_type(confirmation: str) -> str:
    """Return the `token_type` of a token with this confirmation (RFC 9449, 5; RFC 8705, 3)."""
    return "DPoP" if confirmation.startswith("jkt:") else "Bearer"


def cnf(confirmation: str) -> dict[str, str]:
    """Return the `cnf` member of a token with this confirmation; empty for a bearer token (RFC 7800, 3.1)."""
    kind, _, thumbprint = confirmation.partition(":")
    return {_CNF_MEMBERS[kind]: thumbprint} if thumbprint else {}


# --- where tokens are taken -------------------------------------------------------------------------------------


def presented(caller: Caller) -> Presented:
    """Return the access token in an Authorization header (RFC 6750, 2.1; RFC 9449, 7.1). Raises ProtocolFailure."""
    if not caller.authorization:
        raise ProtocolFailure(errors.TOKEN_MISSING, challenge="Bearer")
    found = _PRESENTED.fullmatch(caller.authorization)
    if found is None:
        is_dpop = caller.authorization.partition(" ")[0].lower() == "dpop"
        raise ProtocolFailure(errors.TOKEN_REFUSED, challenge="DPoP" if is_dpop else "Bearer")
    return Presented("DPoP" if found[1].lower() == "dpop" else "Bearer", found[2])


def check_presented(presented: Presented, confirmation: str, caller: Caller, *, provider: Services) -> None:
    """Check that whoever presents a token holds the key it is bound to (RFC 9449, 7.1; RFC 8705, 3).

    Raises ProtocolFailure with a challenge. Side effects: spends the proof's `jti`.
    """
    kind, _, thumbprint = confirmation.partition(":")
    if token_type(confirmation) != presented.scheme:
        # A bound token as a bearer token is what a thief has; the other way round nothing would be proven.
        raise ProtocolFailure(errors.TOKEN_BOUND_TO_ANOTHER, challenge=token_type(confirmation))
    if kind == "x5t" and (caller.certificate is None or certificate.thumbprint(caller.certificate) != thumbprint):
        raise ProtocolFailure(errors.TOKEN_BOUND_TO_ANOTHER, challenge="Bearer")
    if kind == "jkt" and _accept(caller, provider=provider, access_token=presented.token).thumbprint != thumbprint:
        raise ProtocolFailure(errors.TOKEN_BOUND_TO_ANOTHER, challenge="DPoP")


# --- proofs -----------------------------------------------------------------------------------------------------


def _accept(caller: Caller, *, provider: Services, wants_nonce: bool = False, access_token: str | None = None) -> Proof:
    """Return the proof of the request once it holds in every point of RFC 9449, 4.3, and was never seen before.

    With `access_token` the request is one to a resource, and the proof must be for that token.
    """
    refusal = errors.PROOF_REFUSED if access_token is None else errors.PRESENTED_PROOF_REFUSED
    # Servers join two headers of one name by a comma, which no JWT has.
    if len(caller.proofs) != 1:
        raise _refused(refusal)
    try:
        found = proof.read(caller.proofs[0])
    except TokenRefused:
        raise _refused(refusal) from None
    claims = found.claims
    jti, nonce = claims.get("jti"), claims.get("nonce")
    has_nonce = isinstance(nonce, str) and _is_nonce(nonce, provider)
    if (
        not isinstance(jti, str)
        or not jti
        or claims.get("htm") != caller.method
        or not _is_same_address(claims.get("htu"), caller.address)
        or not _is_fresh(claims.get("iat"), has_nonce=has_nonce)
        or (access_token is not None and claims.get("ath") != _hash(access_token))
    ):
        raise _refused(refusal)
    if wants_nonce and provider.settings.dpop_nonce and not has_nonce:
        raise ProtocolFailure(errors.PROOF_NONCE_NEEDED, headers=nonce_header(caller, provider=provider))
    window = 2 * NONCE_SLOT if has_nonce else SECONDS_AHEAD + SECONDS_OLD
    # By the digest, however long a jti is.
    values = {"digest": digest(f"{found.thumbprint}.{jti}"), "window": window}
    if provider.hot_path.apply(SPEND_PROOF, values) is None:
        raise _refused(refusal)
    return found


def _refused(entry: Entry) -> ProtocolFailure:
    return ProtocolFailure(entry, challenge="DPoP" if entry.status == 401 else None)  # noqa: PLR2004 (RFC 9110, 15.5.2)


def _is_fresh(iat: object, *, has_nonce: bool) -> bool:
    if isinstance(iat, bool) or not isinstance(iat, int | float):
        return False
    age = clock.epoch(clock.now()) - iat
    return -SECONDS_AHEAD <= age <= (SECONDS_OLD_WITH_NONCE if has_nonce else SECONDS_OLD)


def _hash(access_token: str) -> str:
    raw = hashlib.sha256(access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _is_same_address(htu: object, address: str) -> bool:
    """Compare `htu` with our address as RFC 3986, 6.2.2 and 6.2.3 do, without query and fragment (RFC 9449, 4.3)."""
    if not isinstance(htu, str):
        return False
    try:
        return _normal(htu) == _normal(address)
    except ValueError:
        return False


def _normal(url: str) -> tuple[str, str, int | None, str]:
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("not a URI")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or not parts.hostname:
        raise ValueError("not an address of ours")
    path = _ENCODED.sub(_without_needless_encoding, parts.path) or "/"
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme), path


def _without_needless_encoding(found: re.Match[str]) -> str:
    decoded = unquote(found[0], errors="replace")
    return decoded if _UNRESERVED.fullmatch(decoded) else found[0].upper()


# --- nonces: nothing is stored, every worker knows the same ---------------------------------------------------------


def _slot() -> int:
    return clock.epoch(clock.now()) // NONCE_SLOT


def _nonce(slot: int, provider: Services, key_id: str | None = None) -> str:
    raw = provider.keyring.hmac(Purpose.FORM, f"dpop-nonce:{slot}".encode(), key_id=key_id)
    return base64.urlsafe_b64encode(raw[:18]).decode()


def _is_nonce(nonce: str, provider: Services) -> bool:
    given = nonce.encode("utf-8", "surrogatepass")
    slot = _slot()
    return any(
        is_same(given, _nonce(each, provider, key_id).encode())
        for key_id in provider.keyring.key_ids(Purpose.FORM)
        for each in (slot, slot - 1)
    )


def _binds_to_certificate(client: Client) -> bool:
    return client.wants_tls_bound_tokens or (
        client.requires_sender_constraint and client.auth_method in (AuthMethod.TLS, AuthMethod.SELF_SIGNED_TLS)
    )


_CNF_MEMBERS = {"jkt": "jkt", "x5t": "x5t#S256"}
