"""Applying documents, and the record every endpoint reads."""

import multiprocessing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from idp.agencies import apply as acts
from idp.agencies import clients
from idp.agencies.apply import Outcome
from idp.agencies.clients import ClientDirectory
from idp.agencies.metadata import ClientMetadata
from idp.agencies.models import Agency, AssertionId, Client, ClientSecret
from idp.agencies.reading import DocumentRefused
from idp.audit.models import AuditEvent
from idp.core import clock
from idp.core.database import Row, db
from idp.core.ids import new_id
from idp.keys import signer
from tests.unit.agencies.documents import document
from tests.unit.core.provider import Provider, provider_on


class Counting:
    """The real hot path, counting statements."""

    def __init__(self, provider: Provider) -> None:
        self._hot_path = provider.hot_path
        self.statements = 0

    def one(self, query, parameters) -> Row | None:
        self.statements += 1
        return self._hot_path.one(query, parameters)

    def apply(self, change, parameters) -> Row | None:
        return self._hot_path.apply(change, parameters)


def apply_one(**changes) -> acts.Applied:
    return acts.apply([document(**changes)], is_sandbox=True)[0]


def count(table) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_a_client_is_created_once_when_applied_twice(provider: Provider) -> None:
    first, second = apply_one(), apply_one()
    assert (first.outcome, first.version, first.secret) == (Outcome.CREATED, 1, None)
    assert (second.outcome, second.version) == (Outcome.UNCHANGED, 1)
    assert (count(Client), count(Agency), count(ClientSecret)) == (1, 1, 1)
    assert sorted(db.session.scalars(sa.select(AuditEvent.name))) == [
        "agencies:client:applied",
        "agencies:secret:issued",
    ]


@pytest.mark.parametrize("method", ["private_key_jwt", "self_signed_tls_client_auth"])
def test_a_client_with_keys_has_no_secret_when_applied(provider: Provider, method: str) -> None:
    apply_one()
    jwk = signer.generate("ES256")[1]
    changes = {"client_secret": None, "token_endpoint_auth_method": method, "jwks": {"keys": [jwk]}}
    assert apply_one(**changes).outcome is Outcome.UPDATED
    assert apply_one(**changes).outcome is Outcome.UNCHANGED
    client = ClientDirectory(provider.hot_path).find("etax")
    assert client is not None
    assert client.secrets == ()
    with pytest.raises(acts.ClientWithoutSecret):
        acts.renew_secret("etax")


def test_the_version_rises_when_a_document_changes(provider: Provider) -> None:
    apply_one()
    changed = apply_one(redirect_uris=["https://thue.example/new"])
    assert (changed.outcome, changed.version) == (Outcome.UPDATED, 2)
    renamed = apply_one(redirect_uris=["https://thue.example/new"], agency={"slug": "tax", "name": {"vi": "Tổng cục"}})
    assert (renamed.outcome, renamed.version) == (Outcome.UPDATED, 3)
    client = ClientDirectory(provider.hot_path).find("etax")
    assert client is not None
    assert client.redirect_uris == {"https://thue.example/new"}
    assert client.agency_name("en") == "Tổng cục"


def test_nothing_is_applied_when_one_document_is_refused(provider: Provider) -> None:
    good = document()
    foreign = document(
        source="b.json", client_id="b", agency={"slug": "other", "name": {"vi": "Khác"}}, client_name="Khác"
    )
    with pytest.raises(DocumentRefused) as refused:
        acts.apply([good, foreign], is_sandbox=True)
    assert [problem.split(" ")[:2] for problem in refused.value.problems] == [["b.json:", "sector_identifier:"]]
    assert (count(Client), count(Agency), count(AuditEvent)) == (0, 0, 0)


def test_documents_are_refused_when_two_speak_of_one_client(provider: Provider) -> None:
    other_agency_name = document(source="c.json", client_id="c", agency={"slug": "tax", "name": {"vi": "Khác"}})
    with pytest.raises(DocumentRefused) as refused:
        acts.apply([document(), document(source="b.json"), other_agency_name], is_sandbox=True)
    assert len(refused.value.problems) == 2


def test_nothing_stays_when_it_was_a_trial(provider: Provider) -> None:
    trial = acts.apply([document()], is_sandbox=True, is_trial=True)
    assert trial[0].outcome is Outcome.CREATED
    assert (count(Client), count(Agency), count(AuditEvent)) == (0, 0, 0)


def test_identifier_and_secret_are_made_when_in_production(provider: Provider) -> None:
    registered = document(is_sandbox=False, client_id=None, client_secret=None)
    applied = acts.apply([registered], is_sandbox=False)[0]
    assert applied.secret is not None
    assert len(applied.secret) == 43
    assert applied.secret not in repr(applied)
    client = ClientDirectory(provider.hot_path).find(applied.client_id)
    assert client is not None
    assert client.accepts_secret(applied.secret)
    assert not client.accepts_secret(applied.secret + "x")
    again = document(is_sandbox=False, client_id=applied.client_id, client_secret=None)
    assert acts.apply([again], is_sandbox=False)[0].secret is None


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"client_id": "made-up"}, "client_id"),
        ({"client_id": None}, "client_id"),
        ({"sector_identifier": "khac.example"}, "sector_identifier"),
        ({"agency": {"slug": "other", "name": {"vi": "Khác"}}}, "agency"),
        ({"agency": {"slug": "other"}}, "agency.name"),
    ],
    ids=str,
)
def test_production_refuses_when_a_document_would_swap_identities(
    provider: Provider, changes: dict, member: str
) -> None:
    made = acts.apply([document(is_sandbox=False, client_id=None, client_secret=None)], is_sandbox=False)[0]
    given = {"client_id": made.client_id} | changes
    with pytest.raises(DocumentRefused) as refused:
        acts.apply([document(is_sandbox=False, client_secret=None, **given)], is_sandbox=False)
    assert any(problem.startswith(f"etax.json: {member}: ") for problem in refused.value.problems)


def test_two_secrets_live_when_one_is_renewed(provider: Provider) -> None:
    apply_one()
    second = acts.renew_secret("etax")
    client = ClientDirectory(provider.hot_path).find("etax")
    assert client is not None
    assert client.accepts_secret("a-secret-for-the-sandbox")
    assert client.accepts_secret(second)
    third = acts.renew_secret("etax")
    client = ClientDirectory(provider.hot_path).find("etax")
    assert client is not None
    assert [client.accepts_secret(secret) for secret in ("a-secret-for-the-sandbox", second, third)] == [
        False,
        True,
        True,
    ]
    db.session.execute(
        sa.update(ClientSecret)
        .where(ClientSecret.expires_at.is_not(None))
        .values(expires_at=clock.now() - timedelta(seconds=1))
    )
    db.session.commit()
    # The copy held in a worker judges the expiry by itself, a fresh one does not hold the secret at all.
    fresh = ClientDirectory(provider.hot_path).find("etax")
    assert fresh is not None
    assert (fresh.accepts_secret(second), fresh.accepts_secret(third)) == (False, True)


def test_secrets_end_when_a_client_changes_to_keys(provider: Provider) -> None:
    apply_one()
    jwk = signer.generate("ES256")[1]
    keyed = apply_one(client_secret=None, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]})
    assert (keyed.outcome, keyed.secret) == (Outcome.UPDATED, None)
    client = ClientDirectory(provider.hot_path).find("etax")
    assert client is not None
    assert client.secrets == ()
    assert client.jwks == {"keys": [jwk]}
    with pytest.raises(acts.ClientWithoutSecret):
        acts.renew_secret("etax")


def test_the_record_says_what_the_document_said_when_found(provider: Provider) -> None:
    apply_one()
    directory = ClientDirectory(provider.hot_path)
    client = directory.find("etax")
    assert client is not None
    metadata = document().metadata
    assert ClientMetadata.of_stored(metadata.stored()) == metadata
    assert all(getattr(client, name) == getattr(metadata, name) for name in metadata.stored())
    assert (client.name("en"), client.name("fr")) == ("Personal e-tax", "Thuế điện tử")
    assert (client.purpose("name", "en"), client.purpose("openid", "en")) == ("To find your file", None)
    assert client.legal_basis("fr") == "Thông tư 86/2024/TT-BTC"
    assert client.requires_pkce
    assert directory.by_row_id(client.id) is client


def test_pkce_is_required_again_when_the_exception_is_over(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    until = clock.now().date() + timedelta(days=2)
    apply_one(require_pkce={"value": False, "reason": "Cổng cũ", "until": until.isoformat()})
    client = ClientDirectory(provider.hot_path).find("etax")
    assert client is not None
    now = clock.now()
    required = []
    for days in (0, 2, 3):
        monkeypatch.setattr(clock, "now", lambda later=now + timedelta(days=days): later)
        required.append(client.requires_pkce)
    assert required == [False, False, True]


def test_one_statement_is_sent_when_a_client_is_asked_for_often(provider: Provider) -> None:
    apply_one()
    counting = Counting(provider)
    directory = ClientDirectory(counting)
    for _ in range(20):
        assert directory.find("etax") is not None
        assert directory.find("nobody") is None
        assert directory.find("no\0body") is None
    assert counting.statements == 2


def test_a_suspended_client_is_noticed_when_the_copy_is_old(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_one()
    directory = ClientDirectory(provider.hot_path)
    first = directory.find("etax")
    assert first is not None
    assert acts.suspend("etax")
    assert not acts.suspend("etax")
    assert directory.find("etax") is first
    monkeypatch.setattr(clients, "FRESH_SECONDS", 0.0)
    found = directory.find("etax"), directory.by_row_id(first.id)
    assert [client.is_active for client in found if client] == [False, False]
    assert acts.resume("etax")
    again = directory.find("etax")
    assert again is not None
    assert again.is_active
    with pytest.raises(acts.UnknownClient):
        acts.suspend("nobody")


def test_memory_is_bounded_when_made_up_clients_are_asked_for(provider: Provider) -> None:
    apply_one()
    directory = ClientDirectory(provider.hot_path)
    directory.find("etax")
    for number in range(clients.MAX_UNKNOWN + 50):
        directory.find(f"nobody-{number}")
    assert directory.by_row_id(new_id()) is None
    assert len(directory._unknown) == clients.MAX_UNKNOWN
    assert list(directory._known) == ["etax"]


@pytest.mark.parametrize("name", ["x" * 129, "x" * 60_000, "đ", "a\0", "\ud800", "a\n", "a\x7f"])
def test_nothing_is_asked_or_remembered_when_no_client_can_be_called_so(provider: Provider, name: str) -> None:
    counting = Counting(provider)
    directory = ClientDirectory(counting)
    assert directory.find(name) is None
    assert (counting.statements, len(directory._unknown)) == (0, 0)
    assert directory.find("x" * clients.MAX_CLIENT_ID) is None
    assert counting.statements == 1


def test_a_new_client_is_found_when_its_absence_was_remembered(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = ClientDirectory(provider.hot_path)
    assert directory.find("etax") is None
    apply_one()
    monkeypatch.setattr(clients, "FRESH_SECONDS", 0.0)
    assert directory.find("etax") is not None


def _apply(url: str, secrets: str, outcomes) -> None:
    with provider_on(url, Path(secrets)):
        outcomes.put(str(apply_one().outcome))


def test_one_client_is_made_when_processes_apply_at_once(provider: Provider, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    outcomes = context.SimpleQueue()
    running = [
        context.Process(target=_apply, args=(provider.url, str(tmp_path / "secrets"), outcomes)) for _ in range(4)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert sorted(outcomes.get() for _ in running) == ["created", "unchanged", "unchanged", "unchanged"]
    assert (count(Client), count(Agency), count(ClientSecret)) == (1, 1, 1)


def _spend(url: str, secrets: str, wins) -> None:
    with provider_on(url, Path(secrets)) as given:
        client = ClientDirectory(given.hot_path).find("etax")
        assert client is not None
        later = clock.now() + timedelta(minutes=5)
        won = sum(
            clients.spend(given.hot_path, clients.assertion_values(client, f"jti-{number}", later))
            for number in range(100)
        )
    with wins.get_lock():
        wins.value += won


def test_each_assertion_is_accepted_once_when_processes_race(provider: Provider, tmp_path: Path) -> None:
    apply_one()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    wins = context.Value("i", 0)
    running = [context.Process(target=_spend, args=(provider.url, str(tmp_path / "secrets"), wins)) for _ in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert (wins.value, count(AssertionId)) == (100, 100)


def test_an_assertion_id_is_each_clients_own_when_two_use_it(provider: Provider) -> None:
    acts.apply([document(), document(source="b", client_id="b", client_name="Hai")], is_sandbox=True)
    directory = ClientDirectory(provider.hot_path)
    later = clock.now() + timedelta(minutes=5)
    found = [client for name in ("etax", "b") if (client := directory.find(name))]
    assert [clients.spend(provider.hot_path, clients.assertion_values(client, "same", later)) for client in found] == [
        True,
        True,
    ]
