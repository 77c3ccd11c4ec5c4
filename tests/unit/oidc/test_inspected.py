"""The inspector beside a whole provider: mistakes are found by their reference, secrets never."""

import re
import secrets
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp import inspector
from idp.core import clock, runner
from idp.core.database import db
from idp.inspector import waiting
from idp.inspector.entry import Entry
from idp.inspector.models import InspectedRequest
from idp.inspector.redaction import NAMES
from idp.inspector.waiting import Inspection
from tests.browser import Browser
from tests.canary import Cage
from tests.commands import operate
from tests.provider import Answer, Portal, Provider

_REFERENCE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{10}\b")
_TOLD = re.compile(r"\(([A-Z]{2}-[0-9]{3}) ([0-9A-Z]{10})\)")


def write(provider: Provider) -> Inspection:
    """Write what waits, as the thread of a worker does each second."""
    inspection: Inspection
    [inspection] = [each for each in provider.app.extensions[runner.EXTENSION] if each.name == "inspection"]
    while inspection.waiting:
        inspection.run_due(threading.Event())
    return inspection


def entries_of(portal: Portal, **chosen: object) -> tuple[Entry, ...]:
    write(portal.provider)
    with portal.provider.app.app_context():
        return inspector.find(client_ids=(portal.client_id,), **chosen).entries  # type: ignore[arg-type]


def under(provider: Provider, reference: str) -> Entry:
    write(provider)
    with provider.app.app_context():
        [entry] = inspector.find(reference=reference).entries
    return entry


@pytest.fixture(autouse=True)
def nothing_is_left_out(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every request, whatever the other tests of this second have asked and left waiting."""
    write(provider)
    for name in ("SUCCESSES_OF_ONE", "SUCCESSES", "FAILURES_OF_ONE", "FAILURES"):
        monkeypatch.setattr(waiting, name, 10_000)


def test_five_mistakes_are_found_by_the_reference_that_was_shown(provider: Provider, browser: Browser) -> None:
    portal, person = provider.portal(), provider.citizen()
    page = browser.get(portal.address(redirect_uri=portal.redirect_uri + "/"))
    [shown] = set(_REFERENCE.findall(page.text))
    answers = [portal.arrive(browser, code_challenge=None), portal.arrive(browser, scope="openid idnum")]
    told = [_TOLD.search(answer["error_description"]) for answer in answers]
    code = portal.arrive(browser, person)["code"]
    responses = [portal.redeem(code, authorization=portal.basic("wrong")), portal.redeem(code, code_verifier="v" * 43)]
    told += [_TOLD.search(response.get_json()["error_description"]) for response in responses]
    references = [shown, *(match[2] for match in told if match)]
    entries = [under(provider, reference) for reference in references]
    assert [(entry.endpoint, entry.outcome, entry.oauth_error, entry.is_proven) for entry in entries] == [
        ("authorize", "PR-002", None, False),
        ("authorize", "PR-110", "invalid_request", False),
        ("authorize", "PR-106", "invalid_scope", False),
        ("token", "PR-202", "invalid_client", False),
        ("token", "PR-207", "invalid_grant", True),
    ]
    assert [entry.explanation.section for entry in entries if entry.explanation] == [
        "OpenID Connect Core 1.0, 3.1.2.1",
        "RFC 7636, 4.3; RFC 9700, 2.1.1",
        "RFC 6749, 3.3",
        "RFC 6749, 5.2; OpenID Connect Core 1.0, 9",
        "RFC 7636, 4.6",
    ]
    assert {entry.client_id for entry in entries} == {portal.client_id}
    assert entries[0].parameters["redirect_uri"].value == portal.redirect_uri + "/"
    assert entries[2].parameters["scope"].value == "openid idnum"
    assert entries[4].parameters["code_verifier"].value is None
    failed = entries_of(portal, is_failed=True)
    assert [entry.reference for entry in failed] == references[::-1]
    assert {(entry.endpoint, entry.outcome) for entry in entries_of(portal)} > {("authorize", "ok")}

    environment = {"IDP_DATABASE_URL": provider.url, "IDP_SECRETS_DIR": str(provider.settings.secrets_dir)}
    listed = operate("requests", "list", "--client", portal.client_id, "--failed", settings=environment)
    assert [line.split("\t")[1] for line in listed.stdout.splitlines()] == references[::-1], listed.stderr
    heard = f"{shown[:5].lower()} {shown[5:].replace('0', 'O')}"
    told_in_words = operate("requests", "show", heard, "--language", "vi", settings=environment).stdout
    assert f"redirect_uri: {portal.redirect_uri}/" in told_in_words
    assert "hoặc đăng ký địa chỉ bạn gửi" in told_in_words


def test_every_endpoint_is_seen_once_it_is_asked(provider: Provider, browser: Browser) -> None:
    portal, person = provider.portal(), provider.citizen()
    tokens = portal.tokens(portal.arrive(browser, person))
    portal.userinfo(tokens["access_token"])
    portal.post("/introspect", token=tokens["access_token"])
    portal.post("/revoke", token=tokens["access_token"])
    portal.post("/par", **portal.request())
    browser.get(f"/logout?id_token_hint={tokens['id_token']}")
    # The first authorization request led to pages; asked again, the session answers it.
    found = entries_of(portal)
    assert {(entry.endpoint.value, entry.outcome) for entry in found} >= {
        (endpoint, "ok") for endpoint in ("token", "userinfo", "introspect", "revoke", "par", "logout")
    }
    assert {entry.client_id for entry in found} == {portal.client_id}
    proven = {entry.endpoint.value for entry in found if entry.is_proven}
    assert proven == {"token", "userinfo", "introspect", "revoke", "par"}


def test_pages_lead_on_from_the_newest_to_the_oldest(provider: Provider) -> None:
    portal = provider.portal()
    for _ in range(5):
        portal.post("/token", grant_type="password")
    whole = entries_of(portal)
    assert len(whole) == 5
    with provider.app.app_context():
        seen, after = [], None
        for size in (2, 2, 1):
            page = inspector.find(client_ids=[portal.client_id], after=after, limit=2)
            assert len(page.entries) == size
            seen += page.entries
            after = page.after
        assert (tuple(seen), after) == (whole, None)
        assert inspector.find(client_ids=()).entries == ()
        ahead = clock.now() + timedelta(minutes=1)
        assert inspector.find(client_ids=[portal.client_id], since=ahead).entries == ()


def test_no_secret_reaches_the_table_whatever_parameter_it_comes_in(provider: Provider, browser: Browser) -> None:
    dropped = write(provider).dropped
    person = provider.citizen(email="hoa.nguyen@example.com", phone_number="+84912345678")
    portal = provider.portal()
    answer: Answer = portal.arrive(browser, person)
    used = answer["code"]
    tokens = portal.tokens(answer)
    seeded = [
        person.number, person.full_name, person.password, str(person.totp_secret), "hoa.nguyen@example.com",
        "+84912345678", portal.secret, portal.verifier, used, tokens["access_token"], tokens["id_token"],
        secrets.token_urlsafe(32),
    ]  # fmt: skip
    cage = Cage()
    cage.plant(*seeded)
    http = provider.http()
    paths = ("/authorize", "/par", "/token", "/userinfo", "/introspect", "/revoke", "/logout", "/device_authorization")
    for secret in seeded:
        hostile = dict.fromkeys(sorted(NAMES), secret) | {secret: "x", f"x{secret}": secret}
        address = f"https://{secret}.example/{secret}?{secret}={secret}#{secret}"
        named = hostile | {"client_id": portal.client_id, "redirect_uri": address, "scope": f"openid {secret}"}
        basic = {"Authorization": f"Basic {secret}"} if secret.isascii() else {}
        for path in paths:
            http.get(path, query_string=named)
            http.post(path, data=hostile, headers=basic)
            http.post(
                path,
                data={"grant_type": secret, "scope": secret, secret: ""},
                headers={"Authorization": portal.basic()},
            )
    assert write(provider).dropped == dropped
    with provider.app.app_context():
        kept = db.session.execute(sa.select(sa.text("*")).select_from(InspectedRequest)).all()
    assert len(kept) > len(seeded) * len(paths)
    for row in kept:
        cage.hear("inspected_request", repr(tuple(row)))
    assert cage.findings() == []
