"""What may be kept of the parameters and headers of a request: names and values from closed lists, and lengths.

A list of what is secret would always lack something: a number in a path, a password as a scope, a code as the name of a
parameter. So nothing is kept that was not known before the request came: words of the specifications, our own
vocabulary, and what stands in the client's own record. Of anything else its length is kept, in a value as `[8]`.
"""

import base64
import binascii
import difflib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from idp.core.levels import level_of
from idp.core.parameters import Parameters
from idp.core.scopes import SCOPES
from idp.inspector.entry import Shown

_MOST_WORDS: Final = 40
# Comparing a strange name with all known ones is what costs most here.
_MOST_COMPARED: Final = 5
_LONGEST_READ: Final = 8_192
_LONGEST_URI: Final = 2_048
_LONGEST_KEPT = 300

NAMES: Final = frozenset(
    {
        "access_token", "acr_values", "auth_req_id", "binding_message", "claims", "claims_locales", "client_assertion",
        "client_assertion_type", "client_id", "client_notification_token", "client_secret", "code", "code_challenge",
        "code_challenge_method", "code_verifier", "device_code", "display", "dpop_jkt", "grant_type", "id_token_hint",
        "idp_hint", "login_hint", "login_hint_token", "logout_hint", "max_age", "nonce", "password",
        "post_logout_redirect_uri", "prompt", "redirect_uri", "refresh_token", "registration", "request",
        "request_uri", "requested_expiry", "resource", "response_mode", "response_type", "scope", "state", "token",
        "token_type_hint", "ui_locales", "user_code", "username",
    }
)  # fmt: skip
"""Names of parameters that are kept. Of any other it is kept how many there were, and which of these they look like."""
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "response_type": frozenset({"code", "token", "id_token", "none"}),
    "response_mode": frozenset({"query", "fragment", "form_post", "jwt", "query.jwt", "form_post.jwt", "fragment.jwt"}),
    "scope": frozenset(SCOPES) | {"groups", "roles", "api", "read", "write", "user", "openid,"},
    "prompt": frozenset({"none", "login", "consent", "select_account", "create"}),
    "code_challenge_method": frozenset({"S256", "plain"}),
    "display": frozenset({"page", "popup", "touch", "wap"}),
    "ui_locales": frozenset({"vi", "en", "fr", "vi-VN", "en-US", "en-GB", "fr-FR"}),
    "token_type_hint": frozenset({"access_token", "refresh_token"}),
    "grant_type": frozenset(
        {
            "authorization_code", "refresh_token", "client_credentials", "password", "implicit",
            "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba",
            "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    ),
    "client_assertion_type": frozenset(
        {
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        }
    ),
}  # fmt: skip
_ADDRESSES: Final = frozenset({"redirect_uri", "post_logout_redirect_uri"})
_TOKENS: Final = frozenset({"client_assertion", "request", "id_token_hint"})
_ALGORITHMS: Final = frozenset(
    {
        "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "ES256K", "PS256",
        "PS384", "PS512", "EdDSA", "Ed25519", "Ed448", "RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW", "dir",
    }
)  # fmt: skip
_TYPES: Final = frozenset({"JWT", "jwt", "oauth-authz-req+jwt", "dpop+jwt", "at+jwt", "client-authentication+jwt"})
_SCHEMES: Final = frozenset({"basic", "bearer", "dpop"})
# Parts of addresses that everybody's have.
_PLACES: Final = frozenset(
    {
        "", "http", "https", "localhost", "127.0.0.1", "www", "callback", "callbacks", "cb", "login", "logout", "oidc",
        "oauth", "oauth2", "openid", "sso", "auth", "signin", "signin-oidc", "signout-callback-oidc", "redirect",
        "redirect_uri", "return", "code", "account", "api", "user", "users", "authenticate", "complete", "index.php",
        "index.html", "3000", "4200", "5000", "8000", "8080", "8443", "443", "80",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """What a client's record says that a request may repeat: its addresses, the `kid` of its keys, its scopes."""

    client_id: str
    addresses: frozenset[str] = frozenset()
    key_ids: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()


Directory = Callable[[str], Record | None]
"""Finds the record of a client by its client_id, quickly and without leaving the machine but for our own database."""


def claimed_client(parameters: Parameters, authorization: str | None) -> str | None:
    """Return what the request says its client is, by parameter or Basic header; it proves nothing, and is secret until
    somebody knows a client of that name."""
    named = parameters.get("client_id")
    if named is not None:
        return named
    scheme, _, encoded = (authorization or "")[:_LONGEST_READ].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")[0]
    except (ValueError, binascii.Error):
        return None


def redact(
    parameters: Parameters, record: Record | None, *, authorization: str | None = None, proof: str | None = None
) -> dict[str, Shown]:
    """Return what may be kept of a request: its parameters, and the headers `Authorization` and `DPoP`."""
    kept: dict[str, Shown] = {}
    strange = compared = 0
    for name, value in parameters.items():
        if name in NAMES:
            shown = _value(name, value, record)
            # Of known words and lengths alone, and yet as long as somebody likes.
            kept[name] = Shown(len(value), shown and shown[:_LONGEST_KEPT], is_repeated=name in parameters.repeated)
        elif compared < _MOST_COMPARED and (like := _like(name)) is not None:
            compared += 1
            kept[f"?{like}"] = Shown(len(value))
        else:
            compared += 1
            strange += 1
    if strange:
        kept["?"] = Shown(strange)
    if authorization:
        scheme = authorization.partition(" ")[0]
        kept["Authorization:"] = Shown(len(authorization), _known(scheme, scheme.lower() in _SCHEMES))
    if proof:
        kept["DPoP:"] = Shown(len(proof), _header(proof, frozenset()))
    return kept


def _value(name: str, value: str, record: Record | None) -> str | None:
    if len(value) > _LONGEST_URI and name not in _TOKENS:
        return None
    if name in _ADDRESSES:
        return _address(value, record.addresses if record else frozenset())
    if name in _TOKENS:
        return _header(value, record.key_ids if record else frozenset())
    if name == "acr_values":
        return " ".join(_known(word, level_of(word) is not None) for word in value.split()[:_MOST_WORDS])
    if name == "client_id":
        return value if record is not None and value == record.client_id else None
    if name == "resource":
        return value if record is not None and value in record.resources else None
    words = _WORDS.get(name)
    if words is None:
        return None
    if name == "scope" and record is not None:
        words = words | record.scopes
    return " ".join(_known(word, word in words) for word in value.split()[:_MOST_WORDS])


def _known(word: str, is_known: bool) -> str:  # noqa: FBT001 (it is what the word is)
    return word if is_known else f"[{len(word)}]"


@lru_cache(1_024)
def _parts(addresses: frozenset[str]) -> frozenset[str]:
    """Return every part of addresses that a client registered: labels of names, ports, steps of paths."""
    parts = set()
    for address in addresses:
        split = urlsplit(address)
        parts |= {split.scheme, *(split.hostname or "").split("."), *split.path.split("/")}
        parts.add(str(split.port or ""))
    return frozenset(parts)


def _address(value: str, registered: Collection[str]) -> str:
    """Return scheme, host and path, each part as sent where the client's record or everybody's addresses have it."""
    known = _PLACES | _parts(frozenset(registered))
    try:
        split = urlsplit(value)
        host, port = split.hostname or "", str(split.port or "")
    except ValueError:
        return f"[{len(value)}]"

    def shown(text: str, separator: str) -> str:
        return separator.join(_known(part, part in known) for part in text.split(separator))

    said = f"{shown(split.scheme, '+')}://" if split.scheme else ""
    said += shown(host, ".") + (f":{_known(port, port in known)}" if port else "") + shown(split.path, "/")
    rest = (("user", "@" in split.netloc), ("query", split.query), ("fragment", split.fragment))
    return said + "".join(f" +{word}" for word, is_there in rest if is_there)


def _header(compact: str, key_ids: Collection[str]) -> str | None:
    """Return `alg`, `typ` and `kid` in the header of a JWT."""
    if len(compact) > _LONGEST_READ:
        return None
    segment = compact.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return "no JWT"
    if not isinstance(header, dict):
        return "no JWT"
    said = []
    for name, words in (("alg", _ALGORITHMS), ("typ", _TYPES), ("kid", key_ids)):
        word = header.get(name)
        if isinstance(word, str):
            said.append(f"{name}={_known(word, word in words)}")
        elif word is not None:
            said.append(f"{name}=?")
    return " ".join(said)


def _like(name: str) -> str | None:
    """Return the name that somebody meant who wrote `name`."""
    close = difflib.get_close_matches(name.lower()[:64], NAMES, n=1, cutoff=0.8)
    return close[0] if close else None
