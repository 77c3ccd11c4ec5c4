"""The pages about identity providers: who reaches them, what is refused, kept, shown, and who of two is told."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.core import clock
from idp.staff.rights import NATIONAL, RIGHTS, Act, Role
from idp.upstream import apply
from idp.upstream.document import read
from idp.upstream.models import UpstreamHealth, UpstreamProvider
from tests.browser import Page
from tests.provider import Provider
from tests.unit.console.desk import Worker, hire
from tests.unit.upstream.test_document import members

Staff = Callable[[Role], Worker]
SCRIPT = "</textarea><script>alert(1)</script>"
_serial = count(1)


def described(**changes: Any) -> dict[str, Any]:
    return members(slug=f"nha-{next(_serial)}", **changes)


def add(provider: Provider, **changes: Any) -> dict[str, Any]:
    """Put a provider on record, as the command line does."""
    whole = described(**changes)
    with provider.app.app_context():
        apply.apply(read(whole, source="file", is_sandbox=False), keyring=provider.services.keyring)
    return {name: value for name, value in whole.items() if name != "client_secret"}


def row(provider: Provider, slug: str) -> UpstreamProvider:
    [found] = provider.scalars(sa.select(UpstreamProvider).where(UpstreamProvider.slug == slug))
    return found


def events(provider: Provider, slug: str) -> list[tuple[str, str, str | None]]:
    """Return name, outcome and actor of what was done to a provider."""
    found = provider.scalars(
        sa.select(AuditEvent).where(AuditEvent.name.startswith("upstream:provider:")).order_by(AuditEvent.id)
    )
    return [
        (each.name.rpartition(":")[2], each.outcome, each.detail.get("by"))
        for each in found
        if each.detail and each.detail["provider"] == slug
    ]


def type_in(worker: Worker, path: str, document: dict[str, Any] | str) -> Page:
    worker.open(path)
    text = (
        document
        if isinstance(document, str)
        else json.dumps(document, ensure_ascii=False, indent=2).replace("\n", "\r\n")
    )
    return worker.submit("change-form", document=text)


def test_each_role_reaches_of_the_providers_what_the_table_says(provider: Provider, staff: Staff) -> None:
    slug = add(provider)["slug"]
    pages = {
        "/console/providers": Act.PROVIDERS_READ,
        f"/console/providers/{slug}": Act.PROVIDERS_READ,
        f"/console/providers/{slug}/change": Act.PROVIDERS_CHANGE,
        f"/console/providers/{slug}/switch": Act.PROVIDERS_CHANGE,
        f"/console/providers/{slug}/cut": Act.PROVIDERS_CUT,
        f"/console/providers/{slug}/uncut": Act.PROVIDERS_CUT,
        "/console/new-provider": Act.PROVIDERS_CHANGE,
    }
    for role in NATIONAL:
        worker = staff(role)
        worker.open()
        for path, act in pages.items():
            answer = worker.browser.get(path)
            assert (answer.status == 200) is (act in RIGHTS[role]), (role, path)
            if act not in RIGHTS[role]:
                assert answer.error_code == "OP-003"
                assert worker.browser.post(path, {"csrf": ""}).error_code == "OP-003"
    owner = staff(Role.OWNER)
    owner.open()
    for path in ("nobody", "nobody/change", "nobody/switch", "nobody/cut", "..%2F..", "A%00"):
        assert owner.browser.get(f"/console/providers/{path}").error_code in ("OP-003", "PR-003")
    for path in pages:
        assert owner.browser.post(path, {"seen": "1"}).error_code in ("ID-008", "OP-004")


def test_change_is_shown_confirmed_applied_and_nothing_is_written_without_one(provider: Provider, staff: Staff) -> None:
    worker = staff(Role.ONBOARDING_OFFICER)
    known = add(provider, token_endpoint_auth_method="client_secret_basic", client_secret="0123456789")
    slug, path = known["slug"], f"/console/providers/{known['slug']}/change"
    page = worker.open(path)
    assert "0123456789" not in page.html
    page = type_in(worker, path, known | {"ceiling": "loa1"})
    assert "confirm-form" in page.forms
    assert {'"loa2"', '"loa1"', "ceiling"} <= set(page.text.split())
    assert row(provider, slug).version == 1
    # Back to the field, with what was typed.
    page = worker.submit("confirm-form", step="back")
    assert "&#34;ceiling&#34;: &#34;loa1&#34;" in page.html
    type_in(worker, path, known | {"ceiling": "loa1"})
    page = worker.submit("confirm-form", step="confirm")
    assert page.path.endswith("?done=applied")
    changed = row(provider, slug)
    assert (changed.version, changed.document["ceiling"], changed.client_secret is not None) == (2, "loa1", True)
    assert [each[:2] for each in events(provider, slug)] == [("applied", "created"), ("applied", "updated")]
    assert events(provider, slug)[-1][2] is not None
    # The same again, with an empty field for the secret.
    type_in(worker, path, known | {"ceiling": "loa1"})
    assert worker.submit("confirm-form", step="confirm").path.endswith("?done=unchanged")
    assert (row(provider, slug).version, len(events(provider, slug))) == (2, 2)
    # Where the secret goes elsewhere it must be typed anew; it never comes back in a page.
    type_in(worker, path, known | {"issuer": "https://khac.example"})
    page = worker.submit("confirm-form", step="confirm", client_secret="")
    assert (page.status, "client_secret-error" in page.ids) == (400, True)
    page = worker.submit("confirm-form", step="confirm", client_secret="short")
    assert (page.status, 'value="short"' in page.html) == (400, False)
    page = worker.submit("confirm-form", step="confirm", client_secret="abcdefghij")
    assert page.path.endswith("?done=applied")
    assert "abcdefghij" not in page.html


def test_refused_document_names_its_members_and_keeps_what_was_typed(provider: Provider, staff: Staff) -> None:
    worker, known = staff(Role.OWNER), add(provider)
    path = f"/console/providers/{known['slug']}/change"
    page = type_in(worker, path, known | {"ceiling": "loa9", "isuer": SCRIPT})
    assert page.status == 400
    assert "ceiling: " in page.ids["document-error"] + page.text
    assert "did you mean issuer?" in page.text
    assert SCRIPT not in page.html
    assert "&lt;/textarea&gt;" in page.html
    for text, words in (
        ("{", "dòng 1"),
        (json.dumps(known | {"slug": "a\0"}), known["slug"]),
        ("[]", "JSON"), ('{"slug": NaN}', "JSON"), ('{"name": "\\ud800"}', "JSON"),
        ('{"slug": "a", "slug": "b"}', "slug"), (json.dumps(known | {"slug": "khac"}), known["slug"]),
        (json.dumps(known), "Không có gì khác"),
    ):  # fmt: skip
        page = type_in(worker, path, text)
        assert (page.status, words in page.text) == (400, True), text
    page = type_in(worker, path, known | {"client_secret": "0123456789"})
    assert (page.status, "0123456789" in page.html) == (400, False)
    assert row(provider, known["slug"]).version == 1
    # Even a text in the record that no rule forbids is text on the page.
    hostile = add(provider, description={"vi": SCRIPT})
    for where in ("", "/change", "/switch", "/cut"):
        assert SCRIPT not in worker.open(f"/console/providers/{hostile['slug']}{where}").html


def test_of_two_editors_the_slower_is_shown_the_newer_record(provider: Provider, staff: Staff) -> None:
    one, two, known = staff(Role.OWNER), staff(Role.ONBOARDING_OFFICER), add(provider)
    slug, path = known["slug"], f"/console/providers/{known['slug']}/change"
    type_in(one, path, known | {"ceiling": "loa1"})
    type_in(two, path, known | {"order": 7})
    assert one.submit("confirm-form", step="confirm").status == 200
    page = two.submit("confirm-form", step="confirm")
    assert (page.status, "change-newer" in page.ids) == (409, True)
    assert {"ceiling", "order"} <= set(page.text.split())
    assert "&#34;order&#34;: 7" in page.html
    assert row(provider, slug).document.get("order") is None
    # Sent again, it counts as looked at.
    two.submit("change-form", document=json.dumps(known | {"order": 7, "ceiling": "loa1"}))
    assert two.submit("confirm-form", step="confirm").path.endswith("?done=applied")
    assert row(provider, slug).document == known | {"order": 7, "ceiling": "loa1"}
    assert type_in(one, "/console/new-provider", described() | {"slug": "a\0"}).status == 400
    # Two who add the same name.
    new = described()
    type_in(one, "/console/new-provider", new)
    type_in(two, "/console/new-provider", new | {"order": 1})
    page = one.submit("confirm-form", step="confirm")
    assert page.path == f"/console/providers/{new['slug']}?done=created"
    page = two.submit("confirm-form", step="confirm")
    assert (page.status, "document-error" in page.ids) == (400, True)
    assert events(provider, new["slug"])[0][1] == "created"


def test_switch_and_incident_are_confirmed_and_refused_to_the_slower(provider: Provider, staff: Staff) -> None:
    one, two = staff(Role.OWNER), staff(Role.ONBOARDING_OFFICER)
    slug = add(provider)["slug"]
    path = f"/console/providers/{slug}"
    one.open(f"{path}/switch")
    two.open(f"{path}/cut")
    assert one.submit("switch-form").path == f"{path}?done=disabled"
    # The click of an old tab finds what it wanted, and the other's form what it did not see.
    action, fields = f"{path}/switch", {"state": "disabled", "seen": "1"}
    one.open(f"{path}/switch")
    csrf = one.browser.form("switch-form")[1]["csrf"]
    assert one.browser.post(action, fields | {"csrf": csrf}).path == f"{path}?done=disabled"
    assert one.browser.post(action, {"state": "gone", "seen": "2", "csrf": csrf}).error_code == "PR-003"
    reason = {"reason-vi": "sự cố", "level": "loa2"}
    page = two.submit("cut-form", **reason)
    assert (page.status, "error-summary" in page.ids) == (409, True)
    assert "sự cố" in page.html
    page = two.submit("cut-form", **reason, ended="2026-01-01 08:00")
    assert page.path == f"{path}?done=cut&ended=0"
    assert "provider-incident" in page.ids
    kept = row(provider, slug).cut
    assert kept is not None
    assert (kept["agencies"], kept["level"], kept["reasons"]) == ([], 2, {"vi": "sự cố"})
    one.browser.get(f"{path}/uncut")
    two.browser.get(f"{path}/uncut")
    assert one.submit("uncut-form").path == f"{path}?done=uncut"
    assert two.submit("uncut-form").path == path
    two.browser.get(f"{path}/switch")
    assert two.submit("switch-form").path == f"{path}?done=enabled"
    assert [each[:2] for each in events(provider, slug)] == [
        ("applied", "created"), ("switched", "disabled"), ("cut", "cut"), ("cut", "uncut"), ("switched", "enabled"),
    ]  # fmt: skip


def test_incident_that_says_nothing_is_refused_with_all_that_was_typed(provider: Provider, staff: Staff) -> None:
    worker, slug = staff(Role.SUPPORT), add(provider)["slug"]
    worker.open(f"/console/providers/{slug}/cut")
    page = worker.submit("cut-form", agencies="khong-co", level="loa4", until="30/11/2026", ended="2099-01-01 00:00")
    assert {"level-error", "until-error", "ended-error"} <= set(page.ids)
    assert 'value="khong-co"' in page.html
    page = worker.submit("cut-form", agencies="khong-co", level="any", until="2020-01-01 00:00", ended="")
    assert {"agencies-error", "reason-vi-error", "until-error"} <= set(page.ids)
    assert row(provider, slug).cut is None


@pytest.mark.parametrize(
    ("state", "held", "word"), [("down", 60, "breaker"), ("down", -60, "probe"), ("slow", -60, "slow")]
)
def test_list_says_how_a_provider_is(provider: Provider, staff: Staff, state: str, held: int, word: str) -> None:
    worker, slug, now = staff(Role.AUDITOR), add(provider)["slug"], clock.now()
    provider.run(
        sa.insert(UpstreamHealth).values(
            provider_id=row(provider, slug).id, state=state, since=now, checked_at=now, misses=2, version=1,
            held_until=now + timedelta(seconds=held), probe_due_at=now,
        )
    )  # fmt: skip
    page = worker.open(f"/console/providers/{slug}")
    words = {"breaker": "Không phản hồi công dân", "probe": "Không phản hồi kiểm tra", "slow": "Chậm"}
    assert words[word] in page.text
    assert f"provider-{slug}" in worker.browser.get("/console/providers").ids


def test_right_lost_between_look_and_click_changes_nothing_and_a_long_text_survives_the_session(
    provider: Provider,
) -> None:
    worker, known = hire(provider, Role.ONBOARDING_OFFICER), add(provider)
    path = f"/console/providers/{known['slug']}/change"
    text = json.dumps(known | {"ceiling": "loa1"})
    type_in(worker, path, text)
    action, fields = worker.browser.form("confirm-form", step="confirm")
    worker.leave()
    worker.join(Role.AUDITOR)
    assert worker.browser.post(action, fields).error_code == "OP-003"
    assert row(provider, known["slug"]).version == 1
    worker.browser.forget()
    page = worker.browser.post(action, {"csrf": fields["csrf"], "document": text, "seen": "1"})
    assert (page.status, "console-kept" in page.ids) == (403, True)
    assert "&#34;ceiling&#34;: &#34;loa1&#34;" in page.html
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert "console-kept" not in worker.browser.post(action, {"document": text}, headers=elsewhere).ids
