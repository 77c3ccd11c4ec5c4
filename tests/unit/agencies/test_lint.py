"""Every rule of the linter finds the one document that breaks it, and nothing else in it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idp.agencies.document import read
from idp.agencies.lint import LOOPBACK, RULES, Severity, lint
from idp.agencies.metadata import AuthMethod, ClientMetadata, GrantType
from idp.core.i18n import LANGUAGES
from tests.unit.agencies.documents import document

REGISTRATIONS = Path(__file__).parents[3] / "clients" / "registrations"
THREE = {"vi": "Thuế", "en": "Tax", "fr": "Impôts"}
HOME = "https://thue.example"


def clean(**changes: Any) -> ClientMetadata:
    """Return the metadata of a client without findings, changed."""
    good = replace(
        document().metadata,
        names=THREE,
        legal_bases=THREE,
        purposes={"name": THREE},
        contacts=("portal@thue.example",),
        logo_uri=f"{HOME}/logo.png",
        backchannel_logout_uri=f"{HOME}/ended",
        auth_method=AuthMethod.PRIVATE_KEY_JWT,
        jwks={"keys": [{"kty": "EC", "kid": "one"}]},
        id_token_algorithm="ES256",
    )
    return replace(good, **changes)


BREAKS: dict[str, dict[str, Any]] = {
    "loopback-address": {"backchannel_logout_uri": "http://127.0.0.1:8001/ended"},
    "path-climbs": {"redirect_uris": frozenset({f"{HOME}/a/..%2fb"})},
    "mixed-scripts": {"names": {**THREE, "en": "T\N{CYRILLIC SMALL LETTER A}x"}},
    "encoded-host": {"redirect_uris": frozenset({"https://xn--thu-8na.example/callback"})},
    "several-hosts": {"redirect_uris": frozenset({f"{HOME}/callback", "https://khac.example/callback"})},
    "shared-secret": {"auth_method": AuthMethod.SECRET_BASIC},
    "key-without-kid": {"jwks": {"keys": [{"kty": "EC"}]}},
    "no-backchannel-logout": {"backchannel_logout_uri": None},
    "scope-twice": {"scopes": ("openid", "profile", "birthdate")},
    "offline-without-refresh": {"scopes": ("openid", "offline_access")},
    "missing-language": {"purposes": {"name": {"vi": "Thuế"}}},
    "no-contacts": {"contacts": ()},
    "no-way-back": {"post_logout_redirect_uris": frozenset()},
    "redirect-query": {"redirect_uris": frozenset({f"{HOME}/callback?from=portal"})},
    "no-logo": {"logo_uri": None},
    "rs256": {"id_token_algorithm": "RS256"},
    "long-purpose": {"purposes": {"name": {**THREE, "en": "x" * 201}}},
}


def test_a_client_has_no_findings_when_it_breaks_no_rule() -> None:
    assert lint(clean(), is_sandbox=False) == ()


@pytest.mark.parametrize("rule", [LOOPBACK, *RULES], ids=lambda rule: rule.id)
def test_a_rule_alone_finds_the_document_that_breaks_it(rule: Any) -> None:
    assert [finding.rule for finding in lint(clean(**BREAKS[rule.id]), is_sandbox=False)] == [rule]
    for language in LANGUAGES:
        assert not rule.why(language).startswith("lint.")
        assert not rule.mend(language).startswith("lint.")


def test_errors_come_first_when_there_are_several_findings() -> None:
    found = lint(clean(**BREAKS["no-logo"], **BREAKS["no-contacts"], **BREAKS["mixed-scripts"]), is_sandbox=False)
    assert [finding.rule.severity for finding in found] == [Severity.ERROR, Severity.WARNING, Severity.NOTE]


def test_loopback_is_no_finding_when_the_client_is_in_the_sandbox() -> None:
    assert lint(clean(**BREAKS["loopback-address"]), is_sandbox=True) == ()


def test_offline_access_is_no_finding_when_the_refresh_grant_is_there() -> None:
    grants = (GrantType.CODE, GrantType.REFRESH)
    assert lint(clean(**BREAKS["offline-without-refresh"], grant_types=grants), is_sandbox=False) == ()


@pytest.mark.parametrize("file", sorted(REGISTRATIONS.glob("*.json")), ids=lambda file: file.stem)
def test_sample_registrations_have_no_errors(file: Path) -> None:
    members = json.loads(file.read_text("utf-8"))
    for each in members if isinstance(members, list) else [members]:
        found = lint(read(each, source=file.name, is_sandbox=True).metadata, is_sandbox=True)
        assert [finding for finding in found if finding.rule.severity is Severity.ERROR] == []
