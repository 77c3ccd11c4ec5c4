"""Requests that wait for their citizen: how they are stored, found and read."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.models import insert
from idp.core import user_codes
from idp.core.database import database_now, db
from idp.core.ids import digest, new_secret
from idp.core.keyring import Keyring, Place
from idp.oidc.decoupled.models import DecoupledRequest, Kind
from idp.sso.request import AuthorizationRequest, ResponseMode

INTERVAL = 5
# Honest polls arrive a moment early or late.
_TOLERANCE = 1


@dataclass(frozen=True, slots=True)
class Pending:
    """One request as its citizen meets it; `shown` is the code or message to compare."""

    digest: bytes
    kind: Kind
    client_id: UUID
    request: AuthorizationRequest
    shown: str = field(repr=False)
    asked_at: datetime
    read_at: datetime
    is_answered: bool
    is_over: bool


def store(
    kind: Kind,
    client: Client,
    request: AuthorizationRequest,
    *,
    lifetime: int,
    shown: str = "",
    citizen_id: UUID | None = None,
    keyring: Keyring,
) -> tuple[str, str]:
    """Store a checked request for `lifetime` seconds and commit; return its secret for the client, and what is shown.

    For a device what is shown is a new user code; otherwise it is `shown`. Events: decoupled request asked.
    """
    now = database_now()
    while True:
        secret = new_secret()
        key = digest(secret)
        code = user_codes.new_user_code() if kind is Kind.DEVICE else None
        visible = user_codes.display(code) if code is not None else shown
        bound = replace(request, response_mode=ResponseMode.OTHER_DEVICE, decoupled=key.hex())
        values = {
            "digest": key,
            "kind": kind,
            "client_id": client.id,
            "citizen_id": citizen_id,
            "user_code_digest": user_codes.index(code, keyring=keyring) if code is not None else None,
            "request": keyring.seal(json.dumps(bound.to_document()), _place("request", key)),
            "shown": keyring.seal(visible, _place("shown", key)),
            "seconds_between_polls": INTERVAL - _TOLERANCE,
            "is_hasty": False,
            "created_at": now,
            "expires_at": now + timedelta(seconds=lifetime),
        }
        # Two live requests with one user code: rare, and the second simply takes another.
        statement = insert(DecoupledRequest).values(values).on_conflict_do_nothing()
        stored = db.session.execute(statement.returning(DecoupledRequest.digest)).one_or_none()
        if stored is not None:
            break
    record(db.session, Event.DECOUPLED_ASKED, citizen_id=citizen_id, client_id=client.id, outcome=kind.value)
    db.session.commit()
    return secret, visible


def by_user_code(code: str, *, keyring: Keyring) -> Pending | None:
    """Return the request with a user code, answered and expired ones included, or None."""
    return _one(DecoupledRequest.user_code_digest.in_(user_codes.every_index(code, keyring=keyring)), keyring)


def by_digest(decoupled: str, *, keyring: Keyring) -> Pending | None:
    """Return the request that an authorization request names in `decoupled`, or None."""
    return _one(DecoupledRequest.digest == bytes.fromhex(decoupled), keyring)


def open_for(citizen_id: UUID, *, keyring: Keyring) -> tuple[Pending, ...]:
    """Return the requests that wait for this citizen, the oldest first."""
    now = database_now()
    rows = db.session.scalars(
        sa.select(DecoupledRequest).where(*_waiting_for(citizen_id, now)).order_by(DecoupledRequest.created_at)
    ).all()
    found = tuple(_pending(row, now, keyring) for row in rows)
    db.session.rollback()
    return found


def count_open(citizen_id: UUID) -> dict[UUID, int]:
    """Return how many requests wait for this citizen, by the client's row id; in the caller's transaction."""
    counted = (
        sa.select(DecoupledRequest.client_id, sa.func.count())
        .where(*_waiting_for(citizen_id, database_now()))
        .group_by(DecoupledRequest.client_id)
    )
    return dict(db.session.execute(counted).tuples().all())


def _waiting_for(citizen_id: UUID, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        DecoupledRequest.citizen_id == citizen_id,
        DecoupledRequest.expires_at > now,
        DecoupledRequest.approved_at.is_(None),
        DecoupledRequest.denied_at.is_(None),
    )


def _one(condition: sa.ColumnElement[bool], keyring: Keyring) -> Pending | None:
    row = db.session.scalar(sa.select(DecoupledRequest).where(condition))
    found = None if row is None else _pending(row, database_now(), keyring)
    db.session.rollback()
    return found


def _pending(row: DecoupledRequest, now: datetime, keyring: Keyring) -> Pending:
    return Pending(
        digest=row.digest,
        kind=Kind(row.kind),
        client_id=row.client_id,
        request=AuthorizationRequest.from_document(
            json.loads(keyring.unseal(row.request, _place("request", row.digest)))
        ),
        shown=keyring.unseal(row.shown, _place("shown", row.digest)),
        asked_at=row.created_at,
        read_at=now,
        is_answered=row.approved_at is not None or row.denied_at is not None,
        is_over=row.expires_at <= now,
    )


def _place(column: str, key: bytes) -> Place:
    return Place(DecoupledRequest.__tablename__, column, key.hex())
