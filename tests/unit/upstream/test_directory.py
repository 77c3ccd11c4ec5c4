"""The directory of providers: changes are seen, one broken record takes no other off the page."""

import logging

import pytest
import sqlalchemy as sa

from idp.agencies.reading import DocumentRefused
from idp.audit.models import AuditEvent
from idp.core.database import db
from idp.core.ids import new_id
from idp.upstream import apply, cuts
from idp.upstream.directory import ProviderDirectory
from idp.upstream.document import read
from idp.upstream.models import ProviderState, UpstreamProvider
from tests.unit.core.provider import Provider
from tests.unit.upstream.test_document import members


def add(provider: Provider, slug: str, **changes: object) -> None:
    described = members(slug=slug, **changes)
    known = apply.keeps_secret(described)
    document = read(described, source=slug, is_sandbox=False, has_secret=known)
    apply.apply(document, keyring=provider.keyring)


def secret_at(directory: ProviderDirectory, slug: str) -> str | None:
    directory.forget()
    found = directory.find(slug)
    return None if found is None else found.secret


@pytest.fixture
def directory(provider: Provider) -> ProviderDirectory:
    return ProviderDirectory(provider.hot_path, provider.keyring, is_sandbox=False)


def slugs(directory: ProviderDirectory) -> list[str]:
    directory.forget()
    return [each.slug for each in directory.all()]


def test_provider_is_found_in_the_order_of_the_page(provider: Provider, directory: ProviderDirectory) -> None:
    assert slugs(directory) == []
    add(provider, "late", order=9)
    add(provider, "early", order=1)
    assert slugs(directory) == ["early", "late"]
    found = directory.find("late")
    assert found is not None
    assert directory.by_id(found.id) == found
    assert directory.find("unknown") is None


def test_change_and_switch_are_seen_and_recorded(provider: Provider, directory: ProviderDirectory) -> None:
    add(provider, "post")
    assert slugs(directory) == ["post"]
    add(provider, "post", ceiling="loa1")
    directory.forget()
    assert directory.find("post").ceiling == 1  # type: ignore[union-attr]
    assert apply.set_state("post", ProviderState.DISABLED)
    assert not apply.set_state("post", ProviderState.DISABLED)
    directory.forget()
    assert not directory.find("post").is_open  # type: ignore[union-attr]
    events = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.id)).all()
    assert [(event.name, event.outcome) for event in events] == [
        ("upstream:provider:applied", "created"),
        ("upstream:provider:applied", "updated"),
        ("upstream:provider:switched", "disabled"),
    ]
    with pytest.raises(apply.UnknownProvider):
        apply.set_state("unknown", ProviderState.ENABLED)


def test_broken_record_is_left_out_with_an_alert(
    provider: Provider, directory: ProviderDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    add(provider, "sound")
    add(provider, "broken")
    db.session.execute(
        sa.update(UpstreamProvider).where(UpstreamProvider.slug == "broken").values(document={"slug": "broken"})
    )
    db.session.commit()
    with caplog.at_level(logging.CRITICAL):
        assert slugs(directory) == ["sound"]
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_secret_is_sealed_and_stays_when_a_document_leaves_it_out(
    provider: Provider, directory: ProviderDirectory
) -> None:
    method = "client_secret_basic"
    add(provider, "post", token_endpoint_auth_method=method, client_secret="a secret of two")
    add(provider, "post", token_endpoint_auth_method=method, ceiling="loa1")
    directory.forget()
    found = directory.find("post")
    assert found is not None
    assert found.secret == "a secret of two"
    assert "a secret" not in repr(found)
    stored = db.session.scalars(sa.select(UpstreamProvider.client_secret)).one()
    assert "a secret" not in str(stored)
    db.session.rollback()


BY_SECRET = {"token_endpoint_auth_method": "client_secret_basic"}


def test_a_secret_stays_while_it_goes_where_it_went(provider: Provider, directory: ProviderDirectory) -> None:
    add(provider, "post", **BY_SECRET, client_secret="a secret of two")
    add(provider, "post", **BY_SECRET, ceiling="loa1")
    assert secret_at(directory, "post") == "a secret of two"


@pytest.mark.parametrize("member", ["issuer", "token_endpoint", "pushed_authorization_request_endpoint"])
def test_a_secret_is_asked_again_when_an_address_that_receives_it_changes(
    provider: Provider, directory: ProviderDirectory, member: str
) -> None:
    add(provider, "post", **BY_SECRET, client_secret="a secret of two")
    with pytest.raises(DocumentRefused, match="client_secret: is missing"):
        add(provider, "post", **BY_SECRET, **{member: "https://elsewhere.example"})
    assert secret_at(directory, "post") == "a secret of two"
    add(provider, "post", **BY_SECRET, **{member: "https://elsewhere.example"}, client_secret="the other secret")
    assert secret_at(directory, "post") == "the other secret"


def test_a_secret_that_was_read_for_another_address_is_dropped(
    provider: Provider, directory: ProviderDirectory
) -> None:
    add(provider, "post", **BY_SECRET, client_secret="a secret of two")
    moved = members(slug="post", **BY_SECRET, issuer="https://elsewhere.example")
    # As if the record had changed between reading the document and writing it.
    late = read(moved, source="post", is_sandbox=False, has_secret=True)
    apply.apply(late, keyring=provider.keyring)
    assert secret_at(directory, "post") is None


def test_a_change_of_what_somebody_else_changed_is_refused(provider: Provider, directory: ProviderDirectory) -> None:
    add(provider, "post")
    described = read(members(slug="post", ceiling="loa1"), source="post", is_sandbox=False)
    for seen in (0, 2):
        with pytest.raises(apply.OutdatedProvider):
            apply.apply(described, keyring=provider.keyring, seen=seen)
        with pytest.raises(apply.OutdatedProvider):
            apply.set_state("post", ProviderState.DISABLED, seen=seen)
        with pytest.raises(apply.OutdatedProvider):
            cuts.uncut("post", seen=seen)
    actor = new_id()
    row, is_new = apply.apply(described, keyring=provider.keyring, seen=1, by=actor)
    assert (row.version, is_new) == (2, False)
    event = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert event.detail == {"provider": "post", "version": 2, "by": actor.hex}
    assert slugs(directory) == ["post"]
