"""Judging what a provider says: its ID token, its UserInfo, its logout token (OpenID Connect Core 1.0, 3.1.3.7; 5.3.2).

The rules are ours and fixed by the record: one algorithm, one issuer, one audience. A library that takes them from the
provider's metadata believes whoever wrote those (security.md, 2.1, A14).
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from idp.agencies.metadata import Encryption
from idp.agencies.remote_keys import ClientKeys
from idp.core import clock
from idp.core.levels import Level
from idp.core.outbound import Answer
from idp.keys import jose
from idp.keys.jose import TokenRefused
from idp.keys.ring import SigningKeys
from idp.upstream.metadata import Metadata
from idp.upstream.record import Provider
from idp.upstream.refusal import Reason, UpstreamRefused

SKEW = timedelta(seconds=60)
LONGEST_LIFE = timedelta(hours=24)
LONGEST_SUBJECT = 255
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a journey asked for, against which its answer is held. `least` is NONE where a level was only wished for."""

    nonce: str = field(repr=False)
    least: Level
    max_age: int | None


@dataclass(frozen=True, slots=True)
class Asserted:
    """What an ID token says of the sign-in, once all of it was checked. `level` is within the provider's ceiling."""

    subject: str = field(repr=False)
    sid: str | None = field(repr=False)
    level: Level
    amr: tuple[str, ...]
    authenticated_at: datetime | None
    claims: Mapping[str, Any] = field(repr=False)


def opened(compact: str, encryption: Encryption | None, own_keys: SigningKeys, reason: Reason) -> str:
    """Return the token inside `compact`, or itself where the record knows no encryption (Core 1.0, 10.2; 16.14).

    One that should be encrypted and is not is refused as well. Raises UpstreamRefused with `reason`.
    """
    if encryption is None:
        return compact
    try:
        return own_keys.opened(compact, alg=encryption.alg, enc=encryption.enc)
    except TokenRefused:
        raise UpstreamRefused(reason) from None


def read_id_token(
    id_token: str, access_token: str, *, asked: Asked, provider: Provider, metadata: Metadata, keys: ClientKeys
) -> Asserted:
    """Return what `id_token` asserts. Raises UpstreamRefused naming the first rule it breaks."""
    try:
        claims = keys.verified(metadata, id_token, algorithms=(provider.id_token_algorithm,))
    except TokenRefused:
        raise UpstreamRefused(Reason.SIGNATURE) from None
    now = clock.now()
    _check_parties(claims, provider)
    _check_times(claims, now)
    if claims.get("nonce") != asked.nonce:
        raise UpstreamRefused(Reason.NONCE)
    if "at_hash" in claims and claims["at_hash"] != _at_hash(access_token, provider.id_token_algorithm):
        raise UpstreamRefused(Reason.ACCESS_TOKEN_HASH)
    sid = claims.get("sid")
    return Asserted(
        subject=_subject(claims, Reason.SUBJECT),
        sid=sid if isinstance(sid, str) and sid else None,
        level=_level(claims, asked, provider, now),
        amr=_amr(claims, provider),
        authenticated_at=_authenticated_at(claims, asked, now),
        claims=claims,
    )


def read_userinfo(
    answer: Answer, *, subject: str, provider: Provider, metadata: Metadata, keys: ClientKeys, own_keys: SigningKeys
) -> dict[str, Any]:
    """Return the claims of UserInfo about `subject`. Raises UpstreamRefused."""
    if provider.userinfo_algorithm is not None:
        if answer.media_type != "application/jwt":
            raise UpstreamRefused(Reason.USERINFO_SIGNATURE)
        try:
            compact = answer.body.decode("ascii")
            compact = opened(compact, provider.userinfo_encryption, own_keys, Reason.USERINFO_ENCRYPTION)
            claims = keys.verified(metadata, compact, algorithms=(provider.userinfo_algorithm,))
        except (TokenRefused, UnicodeDecodeError):
            raise UpstreamRefused(Reason.USERINFO_SIGNATURE) from None
        if claims.get("iss") != provider.issuer or not _is_audience(claims, provider):
            # A signed answer for somebody else (Core 1.0, 5.3.2).
            raise UpstreamRefused(Reason.USERINFO_SIGNATURE)
    else:
        try:
            claims = json.loads(answer.body.decode("utf-8"))
        except (ValueError, RecursionError):
            raise UpstreamRefused(Reason.USERINFO) from None
        if not isinstance(claims, dict):
            raise UpstreamRefused(Reason.USERINFO)
    # Core 1.0, 5.3.4: an access token that was swapped brings somebody else's claims.
    if claims.get("sub") != subject:
        raise UpstreamRefused(Reason.USERINFO_SUBJECT)
    return claims


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """A checked logout token: the session it ends, or all of a subject."""

    subject: str | None = field(repr=False)
    sid: str | None = field(repr=False)
    jti: str = field(repr=False)


def read_logout_token(compact: str, *, provider: Provider, metadata: Metadata, keys: ClientKeys) -> LogoutToken:
    """Return what a logout token ends (Back-Channel Logout 1.0, 2.6). Raises UpstreamRefused."""
    try:
        typ = jose.media_type(jose.read_header(compact))
        claims = keys.verified(metadata, compact, algorithms=(provider.id_token_algorithm,))
    except TokenRefused:
        raise UpstreamRefused(Reason.SIGNATURE) from None
    if typ not in (None, "jwt", "logout+jwt"):
        raise UpstreamRefused(Reason.SIGNATURE)
    _check_parties(claims, provider)
    _check_times(claims, clock.now())
    events, subject, sid, jti = (claims.get(name) for name in ("events", "sub", "sid", "jti"))
    if "nonce" in claims or not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        # An ID token of the same provider must not pass for one.
        raise UpstreamRefused(Reason.NONCE)
    if not isinstance(jti, str) or not jti or not any(isinstance(name, str) and name for name in (subject, sid)):
        raise UpstreamRefused(Reason.SUBJECT)
    return LogoutToken(subject if isinstance(subject, str) else None, sid if isinstance(sid, str) else None, jti)


def _check_parties(claims: Mapping[str, Any], provider: Provider) -> None:
    if claims.get("iss") != provider.issuer:
        raise UpstreamRefused(Reason.ISSUER)
    if not _is_audience(claims, provider) or claims.get("azp", provider.client_id) != provider.client_id:
        raise UpstreamRefused(Reason.AUDIENCE)


def _is_audience(claims: Mapping[str, Any], provider: Provider) -> bool:
    # Us alone: a token for two could be taken by the other (Core 1.0, 3.1.3.7, 3).
    return claims.get("aud") in (provider.client_id, [provider.client_id])


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    issued, expires = _instant(claims.get("iat")), _instant(claims.get("exp"))
    if issued is None or expires is None:
        raise UpstreamRefused(Reason.TIME)
    is_now = issued - SKEW <= now < expires + SKEW and now - issued <= LONGEST_LIFE
    not_before = _instant(claims.get("nbf", claims["iat"]))
    if not is_now or not_before is None or not_before - SKEW > now:
        raise UpstreamRefused(Reason.TIME)


def _instant(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _subject(claims: Mapping[str, Any], reason: Reason) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isascii():
        raise UpstreamRefused(reason)
    return subject


def _level(claims: Mapping[str, Any], asked: Asked, provider: Provider, now: datetime) -> Level:
    word = claims.get("acr")
    level = provider.level_without_acr if word is None else None
    if isinstance(word, str):
        level = provider.levels.get(word)
    if level is None:
        raise UpstreamRefused(Reason.LEVEL_NOT_ALLOWED)
    level = min(level, provider.believed(now))
    if level < asked.least:
        raise UpstreamRefused(Reason.LEVEL_TOO_LOW)
    return level


def _amr(claims: Mapping[str, Any], provider: Provider) -> tuple[str, ...]:
    words = claims.get("amr")
    return tuple(word for word in provider.amr if word in words) if isinstance(words, list) else ()


def _authenticated_at(claims: Mapping[str, Any], asked: Asked, now: datetime) -> datetime | None:
    at = _instant(claims.get("auth_time"))
    if at is not None and at - SKEW > now:
        raise UpstreamRefused(Reason.AUTHENTICATED_AT)
    if asked.max_age is not None and (at is None or now - at > timedelta(seconds=asked.max_age) + SKEW):
        # Core 1.0, 3.1.2.1: with max_age the claim is required, and has to keep to it.
        raise UpstreamRefused(Reason.AUTHENTICATED_AT)
    return None if at is None else min(at, now)


def _at_hash(access_token: str, algorithm: str) -> str:
    if algorithm not in ("Ed25519", "EdDSA"):
        return jose.at_hash(access_token)
    left = hashlib.sha512(access_token.encode("ascii")).digest()[:32]
    return base64.urlsafe_b64encode(left).rstrip(b"=").decode()
