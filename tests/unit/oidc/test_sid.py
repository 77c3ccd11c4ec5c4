"""`sid`: one for each session and client, telling nobody who shares a visitor."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from idp.agencies.clients import Client
from idp.citizens import subjects
from idp.core import keyring
from idp.core.ids import new_id
from idp.oidc.sid import sid_of


def client(row_id: UUID) -> Client:
    return cast(Client, cast(Any, SimpleNamespace(id=row_id)))


def test_sid_differs_by_session_and_client_and_stays(tmp_path: Path) -> None:
    keys = keyring.load(tmp_path, is_production=False)
    sessions, clients = [new_id(), new_id()], [client(new_id()), client(new_id())]
    made = {(session, asking.id): sid_of(session, asking, keys) for session in sessions for asking in clients}
    assert len(set(made.values())) == 4
    assert {len(sid) for sid in made.values()} == {43}
    again = keyring.load(tmp_path, is_production=False)
    assert sid_of(sessions[0], clients[0], again) == made[sessions[0], clients[0].id]


def test_sid_is_never_a_subject(tmp_path: Path) -> None:
    keys = keyring.load(tmp_path, is_production=False)
    session, asking = new_id(), client(new_id())
    # The sector that would come nearest: the same bytes behind the length that a subject begins with.
    sector = (session.bytes + asking.id.bytes).hex()
    assert sid_of(session, asking, keys) != subjects.derive(session, sector, keyring=keys)
