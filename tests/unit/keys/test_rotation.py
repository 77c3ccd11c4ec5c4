"""The life of signing keys, with many processes and over time (security.md, 7: signing)."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.core import clock
from idp.core.database import DatabaseUnavailable, Row, db
from idp.core.keyring import SealBroken
from idp.keys import encryption, jose, ring, rotation
from idp.keys.jose import TokenRefused
from idp.keys.models import KeyState, SigningKey
from idp.keys.ring import NoSigningKey, SigningKeys
from tests.unit.core.provider import Provider, close, provider_on

CLAIMS = {"iss": "https://issuer.example", "sub": "someone", "exp": 4_000_000_000}
OTHERS = [("PS256", "active"), ("RS256", "active")]


class Counting:
    """The real hot path, counting; `is_away` makes it fail as a stopped database does."""

    def __init__(self, provider: Provider) -> None:
        self._hot_path = provider.hot_path
        self.statements = 0
        self.is_away = False

    def one(self, query, parameters) -> Row | None:
        self.statements += 1
        if self.is_away:
            raise DatabaseUnavailable("stopped")
        return self._hot_path.one(query, parameters)

    def apply(self, change, parameters) -> Row | None:
        return self._hot_path.apply(change, parameters)


def states() -> list[tuple[str, str]]:
    return sorted((key.algorithm, key.state) for key in rotation.all_keys())


def kids(keys: SigningKeys) -> list[str]:
    return [key["kid"] for key in json.loads(keys.jwks())["keys"]]


def passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the copy in each ring be older than it may be."""
    monkeypatch.setattr(ring, "FRESH_SECONDS", 0.0)


def test_first_keys_are_made_once_when_asked_twice(provider: Provider) -> None:
    assert [change.state for change in rotation.ensure_keys(provider.keyring)] == ["active"] * 3
    assert rotation.ensure_keys(provider.keyring) == ()
    assert states() == [("ES256", "active"), *OTHERS]
    events = db.session.scalars(sa.select(AuditEvent.name)).all()
    assert sorted(events) == ["keys:key:activated"] * 3 + ["keys:key:created"] * 3


def _ensure(url: str, secrets: str) -> None:
    with provider_on(url, Path(secrets)) as given:
        rotation.ensure_keys(given.keyring)


def test_one_key_each_is_made_when_processes_start_at_once(provider: Provider, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    running = [context.Process(target=_ensure, args=(provider.url, str(tmp_path / "secrets"))) for _ in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * 4
    assert states() == [("ES256", "active"), *OTHERS]


def test_private_keys_are_sealed_when_stored(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    for key in rotation.all_keys():
        assert key.private is not None
        assert key.private.startswith("v1.")
        assert "PRIVATE" not in key.private
        assert not {"d", "p", "q"} & set(key.public)


def test_a_private_key_opens_nowhere_else_when_swapped(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    first, second, _ = rotation.all_keys()
    first.private, second.private = second.private, first.private
    db.session.commit()
    with pytest.raises(SealBroken):
        SigningKeys(provider.hot_path, provider.keyring).signer("ES256")


@pytest.mark.holds("OIDCC-10-2")
def test_a_key_goes_through_its_life_when_time_passes(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    now = clock.now()
    rotation.rotate(provider.keyring, "ES256")
    rotation.rotate(provider.keyring, "ES256")
    assert states() == [("ES256", "active"), ("ES256", "pending"), *OTHERS]
    assert rotation.advance(provider.keyring, now=now + timedelta(hours=23)) == ()
    rotation.advance(provider.keyring, now=now + timedelta(hours=25))
    assert states() == [("ES256", "active"), ("ES256", "retiring"), *OTHERS]
    assert rotation.advance(provider.keyring, now=now + timedelta(hours=72)) == ()
    rotation.advance(provider.keyring, now=now + timedelta(hours=74))
    assert states() == [("ES256", "active"), ("ES256", "retired"), *OTHERS]
    assert db.session.scalar(sa.select(SigningKey.private).where(SigningKey.state == KeyState.RETIRED)) is None


def test_the_first_key_signs_at_once_when_made_by_rotation(provider: Provider) -> None:
    assert [(change.algorithm, change.state) for change in rotation.rotate(provider.keyring, "ES256")] == [
        ("ES256", "active")
    ]
    assert SigningKeys(provider.hot_path, provider.keyring).signer("ES256").algorithm == "ES256"


def test_a_successor_is_published_when_a_key_is_ninety_days_old(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    assert rotation.advance(provider.keyring, now=clock.now() + timedelta(days=89)) == ()
    changes = rotation.advance(provider.keyring, now=clock.now() + timedelta(days=91))
    assert sorted((change.algorithm, change.state) for change in changes) == [
        ("ES256", "pending"),
        ("PS256", "pending"),
        ("RS256", "pending"),
    ]


def test_old_tokens_stop_verifying_when_a_key_is_compromised(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed(monkeypatch)
    rotation.ensure_keys(provider.keyring)
    rotation.rotate(provider.keyring, "ES256")
    keys = SigningKeys(provider.hot_path, provider.keyring)
    token = keys.signer("ES256").sign(CLAIMS, typ="JWT")
    assert keys.verify(token) == CLAIMS
    rotation.rotate(provider.keyring, "ES256", emergency=True)
    with pytest.raises(TokenRefused):
        keys.verify(token)
    assert keys.verify(keys.signer("ES256").sign(CLAIMS, typ="JWT")) == CLAIMS
    assert states() == [("ES256", "active"), ("ES256", "retired"), ("ES256", "retired"), *OTHERS]


@pytest.mark.holds("OIDCC-10-2")
def test_tokens_verify_in_every_worker_when_keys_rotate(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(monkeypatch)
    rotation.ensure_keys(provider.keyring)
    workers = [SigningKeys(provider.hot_path, provider.keyring) for _ in range(2)]
    tokens = [workers[0].signer("RS256").sign(CLAIMS, typ="JWT")]
    rotation.rotate(provider.keyring)
    published = kids(workers[1])
    rotation.advance(provider.keyring, now=clock.now() + timedelta(hours=25))
    tokens.append(workers[1].signer("RS256").sign(CLAIMS, typ="JWT"))
    assert [keys.verify(token) for keys in workers for token in tokens] == [CLAIMS] * 4
    # The key that signs now was published before it signed.
    assert workers[1].signer("RS256").kid in published
    assert len(set(kids(workers[0]))) == 6


def test_one_statement_asks_when_many_sign_within_five_seconds(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    counting = Counting(provider)
    keys = SigningKeys(counting, provider.keyring)
    keys.signer("ES256")
    loading = counting.statements
    for _ in range(50):
        keys.verify(keys.signer("ES256").sign(CLAIMS, typ="JWT"))
    assert counting.statements == loading
    keys._checked -= ring.FRESH_SECONDS
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: (keys.jwks(), close(provider.hot_path)), range(50)))
    assert counting.statements == loading + 1


def test_keys_stay_in_use_when_the_database_is_away(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(monkeypatch)
    rotation.ensure_keys(provider.keyring)
    counting = Counting(provider)
    keys = SigningKeys(counting, provider.keyring)
    before = keys.jwks(), keys.etag
    counting.is_away = True
    assert (keys.jwks(), keys.etag) == before
    assert keys.verify(keys.signer("ES256").sign(CLAIMS, typ="JWT")) == CLAIMS


def test_signing_fails_when_there_is_no_key(provider: Provider) -> None:
    keys = SigningKeys(provider.hot_path, provider.keyring)
    with pytest.raises(NoSigningKey):
        keys.signer("ES256")
    assert json.loads(keys.jwks()) == {"keys": []}


@pytest.mark.holds("OIDCD-3-5")
def test_the_key_set_holds_no_private_part_when_published(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    keys = SigningKeys(provider.hot_path, provider.keyring)
    published = json.loads(keys.jwks())["keys"]
    assert [set(key) & {"d", "p", "q", "dp", "dq", "qi", "k"} for key in published] == [set()] * 3
    assert {key["use"] for key in published} == {"sig"}
    assert keys.etag.startswith('"')
    token = keys.signer("RS256").sign(CLAIMS, typ="JWT")
    assert jose.verify_with({"keys": published}, token, algorithms=("RS256",), typ="JWT") == CLAIMS


@pytest.mark.holds("OIDCC-10-5")
def test_a_key_to_encrypt_to_is_made_only_when_asked_for_and_then_rotated_with_the_others(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    assert rotation.ensure_keys(provider.keyring, ["ECDH-ES"]) != ()
    assert rotation.ensure_keys(provider.keyring, ["ECDH-ES"]) == ()
    rotation.rotate(provider.keyring)
    assert [state for algorithm, state in states() if algorithm == "ECDH-ES"] == ["active", "pending"]
    assert "RSA-OAEP-256" not in dict(states())


@pytest.mark.holds("OIDCC-10-5")
def test_answers_to_a_compromised_key_are_not_opened(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(monkeypatch)
    rotation.ensure_keys(provider.keyring, ["RSA-OAEP-256"])
    keys = SigningKeys(provider.hot_path, provider.keyring)
    chosen = {"alg": "RSA-OAEP-256", "enc": "A256GCM"}
    answer = encryption.encrypt("a.b.c", json.loads(keys.for_providers().jwks), **chosen)
    assert keys.opened(answer, **chosen) == "a.b.c"
    rotation.rotate(provider.keyring, "RSA-OAEP-256", emergency=True)
    with pytest.raises(TokenRefused):
        keys.opened(answer, **chosen)
    assert keys.opened(encryption.encrypt("d", json.loads(keys.for_providers().jwks), **chosen), **chosen) == "d"


def test_an_expired_token_is_refused_unless_it_is_a_hint(provider: Provider) -> None:
    rotation.ensure_keys(provider.keyring)
    keys = SigningKeys(provider.hot_path, provider.keyring)
    token = keys.signer("ES256").sign({"sub": "someone", "exp": 1}, typ="JWT")
    with pytest.raises(TokenRefused, match="expired"):
        keys.verify(token)
    assert keys.verify(token, allow_expired=True)["sub"] == "someone"
    with pytest.raises(TokenRefused):
        keys.verify(keys.signer("ES256").sign({"sub": "someone"}, typ="JWT"))
