"""What is allowed in a client document and will still hurt: findings about one client, each with how to mend it.

Owns the table of rules. Leaves what is refused outright to `document`, and what only the network can say to `outside`.
The texts of a rule are in the catalogues as `lint.ID.why` and `lint.ID.mend`.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from idp.agencies.metadata import SECRET_METHODS, ClientMetadata, GrantType
from idp.agencies.uris import is_loopback
from idp.core.i18n import LANGUAGES, translate
from idp.core.scopes import CLAIMS_BY_SCOPE, OFFLINE_ACCESS

LONG_PURPOSE = 200


class Severity(StrEnum):
    """How much a finding matters: an error must be mended, a warning should be, a note is worth a thought."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `broken_at` yields the members that break it, named as in the client document."""

    id: str
    severity: Severity
    broken_at: Callable[[ClientMetadata], Iterable[str]]

    def why(self, language: str) -> str:
        """Return what is wrong and whom it hurts, in one of LANGUAGES."""
        return translate(language, f"lint.{self.id}.why")

    def mend(self, language: str) -> str:
        """Return what to change, in one of LANGUAGES."""
        return translate(language, f"lint.{self.id}.mend")


@dataclass(frozen=True, slots=True)
class Finding:
    """One member of a client's document that breaks a rule."""

    rule: Rule
    member: str

    def line(self, language: str) -> str:
        """Return the finding as one line: severity, id, member, why and how to mend."""
        rule = self.rule
        return f"{rule.severity}\t{rule.id}\t{self.member}\t{rule.why(language)} {rule.mend(language)}"


def lint(metadata: ClientMetadata, *, is_sandbox: bool) -> tuple[Finding, ...]:
    """Return every finding about a client, errors first. In the sandbox loopback addresses are as they should be."""
    rules = RULES if is_sandbox else (LOOPBACK, *RULES)
    found = [Finding(rule, member) for rule in rules for member in rule.broken_at(metadata)]
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.rule.severity)))


def _addresses(metadata: ClientMetadata) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a client that a browser or we go to, each with its member."""
    for uri in sorted(metadata.redirect_uris):
        yield "redirect_uris", uri
    for uri in sorted(metadata.post_logout_redirect_uris):
        yield "post_logout_redirect_uris", uri
    for member, single in (
        ("backchannel_logout_uri", metadata.backchannel_logout_uri),
        ("frontchannel_logout_uri", metadata.frontchannel_logout_uri),
    ):
        if single is not None:
            yield member, single


def _where(judge: Callable[[str], bool]) -> Callable[[ClientMetadata], Iterable[str]]:
    """Return a rule's look at every address; one finding for each member."""
    return lambda metadata: dict.fromkeys(member for member, uri in _addresses(metadata) if judge(uri))


def _if(member: str, judge: Callable[[ClientMetadata], bool]) -> Callable[[ClientMetadata], Iterable[str]]:
    """Return a rule's look at one member."""
    return lambda metadata: (member,) if judge(metadata) else ()


def _is_loopback(uri: str) -> bool:
    return is_loopback(urlsplit(uri).hostname or "")


def _climbs(uri: str) -> bool:
    return bool({".", ".."} & set(unquote(urlsplit(uri).path).split("/")))


def _is_encoded_name(uri: str) -> bool:
    """Tell whether a label is an encoded one (RFC 5890, 2.3.2.1), which may look like another in a browser."""
    return any(label.startswith("xn--") for label in (urlsplit(uri).hostname or "").split("."))


def _has_two_scripts(text: str) -> bool:
    """Tell whether letters of Latin stand beside Greek or Cyrillic ones, many of which look the same (UTS 39, 5.1)."""
    scripts = {unicodedata.name(sign, "").partition(" ")[0] for sign in text if sign.isalpha()}
    return len(scripts & {"LATIN", "GREEK", "CYRILLIC"}) > 1


def _sits_on_several_hosts(metadata: ClientMetadata) -> bool:
    return (
        metadata.sector_identifier_uri is None and len({urlsplit(uri).hostname for uri in metadata.redirect_uris}) > 1
    )


def _missing_languages(metadata: ClientMetadata) -> Iterator[str]:
    texts = {"client_name": metadata.names, "legal_basis": metadata.legal_bases}
    texts.update({f"purposes.{scope}": words for scope, words in metadata.purposes.items()})
    return (member for member, words in texts.items() if words and not set(LANGUAGES) <= set(words))


def _long_purposes(metadata: ClientMetadata) -> Iterator[str]:
    for scope, words in metadata.purposes.items():
        if any(len(text) > LONG_PURPOSE for text in words.values()):
            yield f"purposes.{scope}"


def _asks_twice(metadata: ClientMetadata) -> bool:
    claims = [set(CLAIMS_BY_SCOPE[scope]) for scope in metadata.scopes if CLAIMS_BY_SCOPE[scope]]
    return any(one < other for one in claims for other in claims)


def _lasts_without_need(metadata: ClientMetadata) -> bool:
    return OFFLINE_ACCESS in metadata.scopes and GrantType.REFRESH not in metadata.grant_types


def _has_nameless_keys(metadata: ClientMetadata) -> bool:
    return any("kid" not in key for key in (metadata.jwks or {"keys": []})["keys"])


def _ends_in_a_browser(metadata: ClientMetadata) -> bool:
    return GrantType.CODE in metadata.grant_types


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

LOOPBACK = Rule("loopback-address", _E, _where(_is_loopback))
RULES = (
    Rule("path-climbs", _E, _where(_climbs)),
    Rule("mixed-scripts", _E, _if("client_name", lambda m: any(map(_has_two_scripts, m.names.values())))),
    Rule("encoded-host", _W, _where(_is_encoded_name)),
    Rule("several-hosts", _W, _if("redirect_uris", _sits_on_several_hosts)),
    Rule("shared-secret", _W, _if("token_endpoint_auth_method", lambda m: m.auth_method in SECRET_METHODS)),
    Rule("key-without-kid", _W, _if("jwks", _has_nameless_keys)),
    Rule(
        "no-backchannel-logout",
        _W,
        _if("backchannel_logout_uri", lambda m: _ends_in_a_browser(m) and m.backchannel_logout_uri is None),
    ),
    Rule("scope-twice", _W, _if("scope", _asks_twice)),
    Rule("offline-without-refresh", _W, _if("scope", _lasts_without_need)),
    Rule("missing-language", _W, _missing_languages),
    Rule("no-contacts", _W, _if("contacts", lambda m: not m.contacts)),
    Rule(
        "no-way-back",
        _N,
        _if("post_logout_redirect_uris", lambda m: _ends_in_a_browser(m) and not m.post_logout_redirect_uris),
    ),
    Rule("redirect-query", _N, _if("redirect_uris", lambda m: any(urlsplit(uri).query for uri in m.redirect_uris))),
    Rule("no-logo", _N, _if("logo_uri", lambda m: m.logo_uri is None)),
    Rule("rs256", _N, _if("id_token_signed_response_alg", lambda m: m.id_token_algorithm == "RS256")),  # noqa: S105
    Rule("long-purpose", _N, _long_purposes),
)
