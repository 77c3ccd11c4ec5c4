"""`idp citizens block` and `unblock`: an operator's word on one account, whose number is typed and never given."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from idp.audit.models import AuditEvent
from idp.citizens.models import CitizenState
from idp.cli import citizens
from idp.cli.shared import Refused
from idp.notify.models import OwedNotice
from tests.provider import ISSUER, Person, Provider, provider_at
from tests.unit.account.entering import enter


@pytest.fixture
def provider(migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with provider_at(migrated_sqlite_url, tmp_path / "secrets") as made:
        monkeypatch.setenv("IDP_DATABASE_URL", migrated_sqlite_url)
        monkeypatch.setenv("IDP_SECRETS_DIR", str(tmp_path / "secrets"))
        monkeypatch.setenv("IDP_ISSUER", ISSUER)
        yield made


def call(command: str, typed: str) -> Result:
    return CliRunner().invoke(citizens.group, (command,), input=typed)


def names(provider: Provider, person: Person, prefix: str) -> list[str]:
    mine = sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id, AuditEvent.name.startswith(prefix))
    return provider.scalars(mine.order_by(AuditEvent.id))


def test_blocked_account_is_refused_until_it_is_unblocked_and_both_are_on_record(provider: Provider) -> None:
    person, portal, at_home = provider.citizen(), provider.portal(), provider.browser()
    enter(at_home, person)
    made = call("block", f"{person.number}\n")
    assert made.output == "blocked; sessions ended: 1\n"
    assert "space-signin-form" in at_home.get("/account").forms
    browser = provider.browser()
    browser.get(portal.address())
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert (page.status, page.error_code) == (403, "ID-003")
    assert call("unblock", f"{person.number}\n").output == "unblocked\n"
    assert portal.sign_in(provider.browser(), person)["sub"]
    assert names(provider, person, "citizens:citizen:")[-2:] == [
        "citizens:citizen:blocked",
        "citizens:citizen:unblocked",
    ]
    told = provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id))
    assert {"account-blocked", "account-unblocked"} <= set(told)


@pytest.mark.parametrize("state", [CitizenState.DISABLED, CitizenState.LOCKED, CitizenState.CLOSED])
def test_account_that_cannot_be_used_is_not_blocked(provider: Provider, state: CitizenState) -> None:
    person = provider.citizen()
    person.set(state=state)
    refused = call("block", person.number)
    assert (refused.exit_code, person.row().state) == (Refused.exit_code, state)
    assert person.number not in refused.output


@pytest.mark.parametrize("state", [CitizenState.ACTIVE, CitizenState.LOCKED, CitizenState.CLOSED])
def test_unblocking_opens_no_other_door(provider: Provider, state: CitizenState) -> None:
    person = provider.citizen()
    person.set(state=state)
    assert (call("unblock", person.number).exit_code, person.row().state) == (Refused.exit_code, state)


@pytest.mark.parametrize("typed", ["", "123", "979191999999"])
def test_what_is_no_number_of_a_citizen_is_refused(provider: Provider, typed: str) -> None:
    refused = call("block", typed)
    assert refused.exit_code == Refused.exit_code
    assert "no number of a citizen" in refused.output
