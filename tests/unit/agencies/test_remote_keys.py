"""Keys that clients publish: read when needed, kept when their server is away, never asked for more than needed."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from idp.agencies import remote_keys
from idp.agencies.clients import Client
from idp.agencies.metadata import ClientMetadata
from idp.agencies.remote_keys import ClientKeys
from idp.core.outbound import Outbound
from idp.keys import signer
from tests.publishing import Publisher
from tests.unit.agencies.documents import document

FIRST, SECOND = (signer.generate("ES256")[1] for _ in range(2))


def client_with(**fields: Any) -> Client:
    metadata = ClientMetadata.fields_of(document().metadata.stored())
    row = {"id": uuid4(), "client_id": "etax", "version": 1, "is_active": True, "agency_slug": "tax"}
    return Client(**{**metadata, **row, "agency_names": {}, "secrets": (), **fields})


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as server:
        yield server


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the act that lets minutes pass for the copies of keys."""
    passed = [0.0]
    real = time.monotonic

    class Clock:
        monotonic = staticmethod(lambda: real() + passed[0])

    monkeypatch.setattr(remote_keys, "time", Clock)

    def let_pass(number: float) -> None:
        passed[0] += number * 60

    return let_pass


@pytest.fixture
def keys() -> ClientKeys:
    return ClientKeys(Outbound(is_sandbox=True))


def kids(found: Any) -> list[str]:
    return [key["kid"] for key in found["keys"]]


def test_keys_come_from_the_record_when_they_stand_there(keys: ClientKeys) -> None:
    assert keys.of(client_with(jwks={"keys": [FIRST]}), "another") == {"keys": [FIRST]}
    assert keys.of(client_with()) == {"keys": []}


def test_published_keys_are_asked_for_once_when_they_are_known(keys: ClientKeys, publisher: Publisher) -> None:
    client = client_with(jwks_uri=publisher.serve("/jwks", {"keys": [FIRST]}))
    for _ in range(3):
        assert kids(keys.of(client, FIRST["kid"])) == [FIRST["kid"]]
    assert publisher.asked == ["/jwks"]


@pytest.mark.holds("OIDCC-10-3")
def test_a_new_key_is_found_when_a_signature_names_it(keys: ClientKeys, publisher: Publisher, minutes: Any) -> None:
    client = client_with(jwks_uri=publisher.serve("/jwks", {"keys": [FIRST]}))
    keys.of(client)
    publisher.serve("/jwks", {"keys": [FIRST, SECOND]})
    assert kids(keys.of(client, FIRST["kid"])) == [FIRST["kid"]]
    # At once, although the set was read a moment ago: an agency may start with one key and change it.
    assert kids(keys.of(client, SECOND["kid"])) == [FIRST["kid"], SECOND["kid"]]
    publisher.serve("/jwks", {"keys": [SECOND]})
    # Not again within a minute: made-up names would make us a weapon against the agency's server.
    for number in range(20):
        assert len(keys.of(client, f"made-up-{number}")["keys"]) == 2
    assert len(publisher.asked) == 2
    minutes(1.1)
    assert kids(keys.of(client, "made-up")) == [SECOND["kid"]]
    assert len(publisher.asked) == 3


@pytest.mark.parametrize(
    ("said", "minutes_kept"),
    [(None, 5), ("max-age=1", 5), ("public, max-age=600", 10), ("max-age=999999", 15)],
)
def test_a_withdrawn_key_is_forgotten_when_the_copy_is_old(
    keys: ClientKeys, publisher: Publisher, minutes: Any, said: str | None, minutes_kept: int
) -> None:
    headers = {"Cache-Control": said} if said else {}
    client = client_with(jwks_uri=publisher.serve("/jwks", {"keys": [FIRST]}, headers=headers))
    keys.of(client)
    publisher.serve("/jwks", {"keys": [SECOND]})
    minutes(minutes_kept - 0.1)
    assert kids(keys.of(client)) == [FIRST["kid"]]
    minutes(0.2)
    assert kids(keys.of(client)) == [SECOND["kid"]]


def test_old_keys_go_on_for_a_day_when_the_server_is_away(keys: ClientKeys, publisher: Publisher, minutes: Any) -> None:
    client = client_with(jwks_uri=publisher.serve("/jwks", {"keys": [FIRST]}))
    keys.of(client)
    publisher.serve("/jwks", b"oops", status=500)
    minutes(16)
    assert kids(keys.of(client)) == [FIRST["kid"]]
    keys.of(client)
    assert len(publisher.asked) == 2
    minutes(24 * 60)
    assert keys.of(client) == {"keys": []}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"no json", b"\xff\xfe", b"[]", b"7", b'{"keys": {}}', b'{"keys": [1, null, "a", []]}', b"[" * 60_000,
        json.dumps({"keys": [FIRST] * 21}).encode(), b'{"keys": [' + b" " * 70_000 + b"]}",
    ],
)  # fmt: skip
def test_a_client_has_no_keys_when_what_it_publishes_is_no_key_set(
    keys: ClientKeys, publisher: Publisher, body: bytes
) -> None:
    assert keys.of(client_with(jwks_uri=publisher.serve("/jwks", body))) == {"keys": []}


def test_unfit_keys_are_passed_over_when_others_fit(keys: ClientKeys, publisher: Publisher) -> None:
    private = {**SECOND, "d": "AAAA"}
    published = [{"kty": "oct", "k": "AAAA", "kid": "shared"}, private, {"kty": "new"}, {**FIRST, "x5c": ["x"]}]
    found = keys.of(client_with(jwks_uri=publisher.serve("/jwks", {"keys": published})))
    assert found["keys"] == [FIRST]


def test_a_new_address_is_asked_when_the_record_changes(keys: ClientKeys, publisher: Publisher) -> None:
    client = client_with(jwks_uri=publisher.serve("/old", {"keys": [FIRST]}))
    keys.of(client)
    moved = client_with(id=client.id, jwks_uri=publisher.serve("/new", {"keys": [SECOND]}))
    assert kids(keys.of(moved)) == [SECOND["kid"]]


def test_many_threads_ask_once_when_nothing_is_known_yet(keys: ClientKeys, publisher: Publisher) -> None:
    client = client_with(jwks_uri=publisher.serve("/jwks", {"keys": [FIRST]}, delay=0.3))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(keys.of(client))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"keys": [FIRST]}] * 5
    assert len(publisher.asked) == 1
