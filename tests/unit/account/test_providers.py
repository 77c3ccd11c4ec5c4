"""The citizen's say about identity providers: FranceConnect's cases 50, 51 and 52 (franceconnect.md, 6.2)."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import erasure
from idp.core.database import database_now, db
from idp.core.ids import new_id
from idp.notify.models import OwedNotice
from idp.sso.devices import SessionOrigin
from idp.sso.models import SsoSession
from idp.upstream import familiar, reconcile, say
from idp.upstream.models import OtherProviders, ProviderChoice, UpstreamIdentity, UpstreamLogin, UpstreamSession
from tests.browser import Browser, Page
from tests.provider import Person, Provider
from tests.scripted_upstream import Federated, ScriptedProvider, federate, somebody
from tests.unit.account.entering import enter

PATH = "/account/providers"


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as made:
        yield made


@pytest.fixture
def federated(provider: Provider, script: ScriptedProvider) -> Iterator[Federated]:
    made = federate(provider, script)
    yield made
    made.disable()


def come_by(federated: Federated, person: Person, browser: Browser | None = None) -> Page:
    """Sign in by the provider as `person`, whose subject there is always the same; return where that leads."""
    browser = browser or federated.provider.browser()
    visit = federated.leave(browser, federated.provider.portal())
    visit.sign_in(somebody(federated.provider, None), sub=f"subject-of-{person.id}")
    federated.script.claims |= {
        "sub": f"subject-of-{person.id}", "identification_number": person.number, "name": person.full_name,
    }  # fmt: skip
    return visit.back()


def kinds(provider: Provider, citizen_id: UUID) -> list[str]:
    """Return the notices about providers that are owed to a citizen, in order."""
    owed = provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == citizen_id))
    return sorted(kind for kind in owed if "provider" in kind)


def test_blocked_provider_is_refused_and_another_works(
    provider: Provider, federated: Federated, browser: Browser, person: Person
) -> None:
    other = federate(provider, federated.script)
    assert come_by(federated, person).step == "consent"
    page = enter(browser, person, PATH)
    assert f"provider-form-{other.slug}" in page.forms
    form = browser.form(f"provider-form-{federated.slug}")
    for _ in range(2):
        page = browser.post(*form)
    assert page.path == PATH
    # Whoever was inside by that door is out.
    by_it = sa.select(SsoSession).where(SsoSession.citizen_id == person.id, SsoSession.provider_id.is_not(None))
    [session] = provider.scalars(by_it)
    assert session.ended_at is not None
    page = come_by(federated, person)
    assert page.step == "login"
    assert "upstream-choices" in page.html
    assert len(federated.events("blocked-by-citizen")) == 1
    assert come_by(other, person).step == "consent"
    other.disable()
    browser.get(PATH)
    browser.submit(f"provider-form-{federated.slug}")
    assert come_by(federated, person).step == "consent"
    assert kinds(provider, person.id) == ["provider-allowed", "provider-blocked", "provider-used", "provider-used"]
    made = sa.select(AuditEvent.outcome).where(
        AuditEvent.citizen_id == person.id, AuditEvent.name == "upstream:choice:made"
    )
    assert provider.scalars(made) == ["blocked", "allowed"]


def test_block_in_the_moment_of_a_return_is_heeded(
    provider: Provider, federated: Federated, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert come_by(federated, person).step == "consent"
    recognised = familiar.recognise
    taken = []

    def recognise_and_block(*given: Any, **named: Any) -> familiar.Familiar | None:
        found = recognised(*given, **named)
        taken.append(found)
        keyring = provider.services.keyring
        assert say.set_one(person.id, named["provider"], is_allowed=False, session_id=new_id(), keyring=keyring)
        db.session.commit()
        return found

    monkeypatch.setattr(familiar, "recognise", recognise_and_block)
    page = come_by(federated, person)
    assert [found.citizen_id for found in taken] == [person.id]
    assert page.step == "login"
    assert len(federated.events("blocked-by-citizen")) == 1


def test_return_of_a_known_person_writes_what_the_first_visit_wrote(
    provider: Provider, federated: Federated, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_by(federated, person)
    # The second time nothing is looked over.
    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "reconcile", None)
        come_by(federated, person)
    first, second = provider.scalars(
        sa.select(SsoSession).where(SsoSession.citizen_id == person.id).order_by(SsoSession.id)
    )
    for name in ("level", "amr", "own_amr", "provider_id", "provider_level", "provider_amr", "is_shared", "mandate_id"):
        assert getattr(first, name) == getattr(second, name), name
    assert second.authenticated_at >= first.authenticated_at
    for table in (UpstreamSession, SessionOrigin):
        query = sa.select(table).where(table.session_id.in_((first.id, second.id)))
        assert len(provider.scalars(query)) == 2
    for session in (first, second):
        events = sa.select(AuditEvent.name).where(AuditEvent.session_id == session.id)
        assert {"upstream:login:accepted", "sso:session:opened"} <= set(provider.scalars(events))
    [link] = provider.scalars(sa.select(UpstreamIdentity).where(UpstreamIdentity.citizen_id == person.id))
    assert link.last_used_at > link.created_at
    outcomes = sa.select(UpstreamLogin.outcome).where(UpstreamLogin.provider_id == link.provider_id)
    assert provider.scalars(outcomes) == ["done", "done"]


def test_provider_in_use_cannot_be_blocked_even_by_a_forged_post(
    provider: Provider, federated: Federated, browser: Browser, person: Person
) -> None:
    page = browser.get(PATH)
    page = browser.submit("space-signin-form")
    visit = federated.choose(browser, page)
    visit.sign_in(somebody(provider, None))
    federated.script.claims |= {"identification_number": person.number, "name": person.full_name}
    page = visit.back()
    assert page.path == PATH, page.text
    assert f"provider-form-{federated.slug}" not in page.forms
    assert "provider-in-use" in page.html
    action, fields = browser.form("providers-others-form")
    refused = browser.post(action, fields | {"provider": federated.slug, "act": "block"})
    assert refused.status == 409
    assert "error-summary" in refused.html
    assert provider.scalars(sa.select(ProviderChoice).where(ProviderChoice.citizen_id == person.id)) == []


def test_future_providers_are_refused_until_allowed(
    provider: Provider, federated: Federated, browser: Browser, person: Person
) -> None:
    enter(browser, person, PATH)
    browser.submit("providers-others-form")
    later = federate(provider, federated.script)
    assert come_by(federated, person).step == "consent"
    assert come_by(later, person).step == "login"
    assert later.events("blocked-by-citizen")
    browser.get(PATH)
    browser.submit(f"provider-form-{later.slug}")
    assert come_by(later, person).step == "consent"
    browser.get(PATH)
    browser.submit("providers-others-form")
    third = federate(provider, federated.script)
    assert come_by(third, person).step == "consent"
    later.disable()
    third.disable()
    assert "new-providers-blocked" in kinds(provider, person.id)
    assert "new-providers-allowed" in kinds(provider, person.id)


def test_say_is_in_the_download_and_goes_with_the_account(
    provider: Provider, federated: Federated, browser: Browser, person: Person
) -> None:
    come_by(federated, person)
    enter(browser, person, PATH)
    browser.submit(f"provider-form-{federated.slug}")
    browser.submit("providers-others-form")
    enter(browser, person, "/account/data")
    held = json.loads(browser.send("GET", "/account/data/file").get_data(as_text=True))["providers"]
    [mine] = [each for each in held if federated.slug in each.get("name", "")]
    assert (mine["state"], "last_used_at" in mine) == ("blocked", True)
    assert {"kind": "future", "state": "blocked"} in held
    with provider.app.app_context():
        erasure.erase(person.id, now=database_now())
        db.session.commit()
    for table in (ProviderChoice, OtherProviders, UpstreamIdentity):
        assert provider.scalars(sa.select(table).where(table.citizen_id == person.id)) == []
