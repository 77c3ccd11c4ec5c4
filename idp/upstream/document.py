"""The provider document: what an operator writes about one identity provider, checked member by member.

Names are those of OpenID Connect Discovery 1.0 and Dynamic Client Registration 1.0 where they have one, plus ours;
docs/upstream.md is the reference. A document is refused as a whole, every problem named by its member. It is read again
whenever the directory loads it: a rule that becomes stricter takes a provider off the page, with an alert, and never
the page with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from idp.agencies import uris
from idp.agencies.metadata import Encryption
from idp.agencies.protection import read_encryption
from idp.agencies.reading import DocumentRefused, Reader
from idp.core.levels import ACR_VALUES, Level, level_of
from idp.keys.decryption import KEY_ALGORITHMS
from idp.keys.jose import CLIENT_ALGORITHMS, SIGNING_ALGORITHMS
from idp.upstream.record import AuthMethod, Banner, Endpoint, ProviderRecord, origin_of

MAX_NAME = 60
MAX_TEXT = 300
MAX_LOGO = 8_192
MAX_ADDRESS = 2_000
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_LOGO = re.compile(r"data:image/(?:png|svg\+xml|webp);base64,[A-Za-z0-9+/=]+")
_WORD = re.compile(r"[\x21-\x7e]{1,100}")
# RFC 8176, 2. No longer than a session's row has place for.
AMR = frozenset(
    "face fpt geo hwk iris kba mca mfa otp pin pop pwd rba retina sc sms swk tel user vbm wia".split()  # noqa: SIM905
)
MOST_AMR = 8
# Where each fact about a person may stand: in the words of OpenID Connect, then in those of the national practice.
CLAIMS: Mapping[str, tuple[str, ...]] = {
    "number": ("identification_number", "SoDinhDanh"),
    "name": ("name", "HoVaTen"),
    "birthdate": ("birthdate", "NgayThangNamSinh"),
    "gender": ("gender", "GioiTinh"),
}
KNOWN = frozenset(
    {
        *("slug", "issuer", "client_id", "client_secret", "scope", "claims", "trust_frameworks"),
        *("token_endpoint_auth_method", "token_endpoint_auth_signing_alg"),
        *("id_token_signed_response_alg", "id_token_encrypted_response_alg", "id_token_encrypted_response_enc"),
        *("userinfo_signed_response_alg", "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc"),
        *("levels", "level_without_acr", "ceiling", "amr", "agencies", "origins"),
        *("name", "description", "logo", "order", "display", "active", "beta", "notice", "unavailable", "banners"),
        *(
            "prompt_login",
            "iss_parameter",
            "pushed_requests",
            "dpop_bound_access_tokens",
            "end_session",
            "backchannel_logout",
        ),
        *Endpoint,
    }
)


@dataclass(frozen=True, slots=True)
class ProviderDocument:
    """One document read: the record, the members to keep, and the secret, which is kept apart from them."""

    slug: str
    record: ProviderRecord
    members: Mapping[str, Any]
    secret: str | None = field(default=None, repr=False)


def read(members: Any, *, source: str, is_sandbox: bool, has_secret: bool = False) -> ProviderDocument:
    """Check one parsed provider document. Raises DocumentRefused with every problem, each line opening with `source`.

    `has_secret` says that a secret is on record already, so that the document may leave it out.
    """
    if not isinstance(members, Mapping):
        raise DocumentRefused([f"{source}: a provider document is a JSON object"])
    reader = Reader(source, members)
    reader.refuse_unknown(KNOWN, {})
    slug = members.get("slug")
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        reader.refuse("slug", "must have 1 to 32 small letters, digits or hyphens")
    method = reader.choice("token_endpoint_auth_method", tuple(AuthMethod), default=AuthMethod.PRIVATE_KEY_JWT)
    secret = _secret(reader, method, has_secret=has_secret)
    levels = _levels(reader)
    agencies, are_denied = _agencies(reader)
    endpoints = _endpoints(reader, is_sandbox=is_sandbox)
    fields: dict[str, Any] = {
        "issuer": _issuer(reader, is_sandbox=is_sandbox),
        "client_id": reader.text("client_id", longest=255) or _missing(reader, "client_id", "the one we have there"),
        "auth_method": method and AuthMethod(method),
        "auth_algorithm": reader.choice("token_endpoint_auth_signing_alg", SIGNING_ALGORITHMS, default="ES256"),
        "endpoints": endpoints,
        "id_token_algorithm": reader.choice("id_token_signed_response_alg", CLIENT_ALGORITHMS, default="ES256"),
        "id_token_encryption": read_encryption(reader, "id_token", KEY_ALGORITHMS),
        "userinfo_algorithm": reader.optional_choice("userinfo_signed_response_alg", CLIENT_ALGORITHMS),
        "userinfo_encryption": _userinfo_encryption(reader),
        "scopes": _scopes(reader),
        "claims": _claims(reader),
        "trust_frameworks": reader.texts_of_list("trust_frameworks", most=10, longest=100),
        "levels": levels,
        "level_without_acr": _level(reader, "level_without_acr"),
        "ceiling": _level(reader, "ceiling") or _missing(reader, "ceiling", f"one of {', '.join(ACR_VALUES)}"),
        "amr": _amr(reader),
        "names": reader.texts("name", longest=MAX_NAME, is_required=True),
        "descriptions": reader.texts("description", longest=MAX_TEXT),
        "logo": _logo(reader),
        "order": _order(reader),
        "is_displayed": reader.flag("display", default=True),
        "is_active": reader.flag("active", default=True),
        "is_beta": reader.flag("beta"),
        "notice": reader.texts("notice", longest=MAX_TEXT * 3),
        "unavailable": reader.texts("unavailable", longest=MAX_TEXT),
        "banners": _banners(reader),
        "agencies": agencies,
        "are_denied": are_denied,
        "origins": _origins(reader, is_sandbox=is_sandbox),
        "always_prompts": reader.flag("prompt_login"),
        "promises_iss": reader.flag("iss_parameter"),
        "uses_pushed_requests": reader.flag("pushed_requests"),
        "binds_tokens": reader.flag("dpop_bound_access_tokens"),
        "ends_sessions": reader.flag("end_session"),
        "tells_of_logout": reader.flag("backchannel_logout"),
    }
    if reader.problems:
        raise DocumentRefused(reader.problems)
    kept = {name: value for name, value in members.items() if name != "client_secret"}
    return ProviderDocument(str(slug), ProviderRecord(**fields), kept, secret)


def _missing(reader: Reader, member: str, what: str) -> Any:
    """Note that `member` is missing, unless it was refused already; return None, which takes its place."""
    if not reader.has_problem(member):
        reader.refuse(member, f"is missing; give {what}")
    return None


def _secret(reader: Reader, method: str | None, *, has_secret: bool) -> str | None:
    secret = reader.members.get("client_secret")
    if method == AuthMethod.PRIVATE_KEY_JWT:
        if secret is not None:
            reader.refuse("client_secret", "is not used with private_key_jwt; drop it")
        return None
    if secret is None:
        if not has_secret:
            reader.refuse("client_secret", f"is missing; {method} needs it, again where an address of theirs changes")
        return None
    if not isinstance(secret, str) or not re.fullmatch(r"[\x20-\x7e]{8,512}", secret):
        reader.refuse("client_secret", "must have 8 to 512 visible ASCII characters")
        return None
    return secret


def _issuer(reader: Reader, *, is_sandbox: bool) -> str | None:
    issuer = reader.text("issuer", longest=MAX_ADDRESS)
    if issuer is None:
        _missing(reader, "issuer", "the issuer identifier exactly as the provider writes it")
        return None
    problem = uris.problem_of(issuer, allows_loopback=is_sandbox) or ("has a query; drop it" if "?" in issuer else None)
    if problem:
        reader.refuse("issuer", problem)
    return issuer


def _userinfo_encryption(reader: Reader) -> Encryption | None:
    chosen = read_encryption(reader, "userinfo", KEY_ALGORITHMS)
    if chosen is not None and "userinfo_signed_response_alg" not in reader.members:
        # Everybody can encrypt to a published key: only the signature inside says who wrote it.
        reader.refuse("userinfo_encrypted_response_alg", "needs userinfo_signed_response_alg, for what lies inside")
    return chosen


def _endpoints(reader: Reader, *, is_sandbox: bool) -> dict[Endpoint, str]:
    found = {}
    for name in Endpoint:
        uri = reader.text(name, longest=MAX_ADDRESS)
        if uri is None:
            continue
        if problem := uris.problem_of(uri, allows_loopback=is_sandbox):
            reader.refuse(name, problem)
        found[name] = uri
    return found


def _origins(reader: Reader, *, is_sandbox: bool) -> tuple[str, ...]:
    origins = reader.texts_of_list("origins", most=5, longest=255)
    for number, origin in enumerate(origins):
        problem = uris.problem_of(origin, allows_loopback=is_sandbox)
        if problem or origin != origin_of(origin):
            reader.refuse(f"origins[{number}]", problem or "must be scheme, host and port only")
    return origins


def _scopes(reader: Reader) -> tuple[str, ...]:
    names = reader.members.get("scope", "openid")
    words = names.split(" ") if isinstance(names, str) else []
    if "openid" not in words or len(set(words)) != len(words) or not all(map(_WORD.fullmatch, words)):
        reader.refuse("scope", "must be distinct words with openid among them, one blank between two")
    return tuple(words)


def _claims(reader: Reader) -> dict[str, tuple[str, ...]]:
    given = reader.members.get("claims", {})
    if not isinstance(given, Mapping):
        reader.refuse("claims", 'must map facts to names of claims, such as {"number": "SoDinhDanh"}')
        return {}
    claims = dict(CLAIMS)
    for fact, names in given.items():
        listed = [names] if isinstance(names, str) else names
        if fact not in CLAIMS:
            reader.refuse(f"claims.{fact}", f"facts are {', '.join(CLAIMS)}")
        elif not isinstance(listed, list) or not listed or not all(isinstance(name, str) and name for name in listed):
            reader.refuse(f"claims.{fact}", "must be the name of a claim, or a list of such names")
        else:
            claims[fact] = tuple(listed)
    return claims


def _levels(reader: Reader) -> dict[str, Level]:
    given = reader.members.get("levels")
    if not isinstance(given, Mapping) or not given:
        reader.refuse("levels", 'is missing; map its acr words to ours, such as {"LoA2": "loa2"}')
        return {}
    levels = {}
    for word, name in given.items():
        level = level_of(name) if isinstance(name, str) else None
        if not isinstance(word, str) or not _WORD.fullmatch(word) or level is None:
            reader.refuse(
                f"levels.{str(word)[:40]}", f"must map a word without blanks to one of {', '.join(ACR_VALUES)}"
            )
        else:
            levels[word] = level
    return levels


def _level(reader: Reader, member: str) -> Level | None:
    name = reader.optional_choice(member, ACR_VALUES)
    return None if name is None else level_of(name)


def _amr(reader: Reader) -> tuple[str, ...]:
    words = reader.texts_of_list("amr", most=MOST_AMR, longest=10)
    for number, word in enumerate(words):
        if word not in AMR:
            reader.refuse(f"amr[{number}]", "must be one of the values of RFC 8176")
    return words


def _agencies(reader: Reader) -> tuple[frozenset[str], bool]:
    """Return the agencies named, and whether it is they who are not served; without a list all are served."""
    given = reader.members.get("agencies")
    if given is None:
        return frozenset(), True
    names = next(iter(given.values())) if isinstance(given, Mapping) and len(given) == 1 else None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or not isinstance(given, Mapping) or next(iter(given)) not in ("allow", "deny"):
        reader.refuse("agencies", 'must be {"allow": [...]} or {"deny": [...]} with the slugs of agencies')
        return frozenset(), True
    return frozenset(names or ()), "deny" in given


def _logo(reader: Reader) -> str | None:
    logo = reader.members.get("logo")
    if logo is not None and (not isinstance(logo, str) or len(logo) > MAX_LOGO or not _LOGO.fullmatch(logo)):
        # Inside the page: a picture at the provider would tell it of everybody who looks at ours.
        reader.refuse("logo", f"must be a data: address of a PNG, SVG or WebP, at most {MAX_LOGO} characters")
    return logo


def _order(reader: Reader) -> int:
    order = reader.members.get("order", 100)
    if not isinstance(order, int) or isinstance(order, bool) or not 0 <= order <= 10_000:  # noqa: PLR2004
        reader.refuse("order", "must be a whole number from 0 to 10000")
        return 0
    return order


def _banners(reader: Reader) -> tuple[Banner, ...]:
    given = reader.members.get("banners", [])
    if not isinstance(given, list) or len(given) > 5:  # noqa: PLR2004 (a page has room for few)
        reader.refuse("banners", "must be a list of at most 5 messages")
        return ()
    banners = []
    for number, banner in enumerate(given):
        place = f"banners[{number}]"
        if not isinstance(banner, Mapping) or set(banner) != {"from", "until", "text"}:
            reader.refuse(place, 'must be {"from": "YYYY-MM-DD", "until": "YYYY-MM-DD", "text": {...}}')
            continue
        texts = reader.texts(f"{place}.text", longest=MAX_TEXT, value=banner["text"], is_required=True)
        try:
            since, until = date.fromisoformat(banner["from"]), date.fromisoformat(banner["until"])
        except (TypeError, ValueError):
            reader.refuse(place, "from and until must be days, YYYY-MM-DD")
            continue
        banners.append(Banner(since, until, texts))
    return tuple(banners)
