"""The sections of what is held about one citizen, each read in small bites of its own transaction.

Between two bites nothing is locked and nothing is kept, so that a history of a hundred thousand lines streams through
a worker as ten lines do. Values are plain JSON values; times are ISO 8601 in UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from idp.account.agencies import connections
from idp.account.history import ledger
from idp.audit.models import IS_PERSONAL, AuditEvent
from idp.citizens.claims import open_profile
from idp.citizens.credentials.passkey import name_place
from idp.citizens.models import (
    Citizen,
    CitizenNumber,
    PairwiseSubject,
    Passkey,
    PasswordCredential,
    TotpCredential,
)
from idp.core.database import db
from idp.core.keyring import Keyring, Place
from idp.notify.models import OwedNotice
from idp.sso.devices import SessionOrigin
from idp.sso.models import SsoSession
from idp.sso.services import Services

BITE = 500
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of data: its name, and its records in order, read as they are asked for."""

    name: str
    records: Iterator[Record]


def sections(citizen_id: UUID, *, language: str, provider: Services) -> Iterator[Section]:
    """Yield every section about a citizen, texts of agencies in `language`."""
    keyring = provider.keyring
    yield Section("account", iter(_account(citizen_id)))
    yield Section("profile", iter(_profile(citizen_id, keyring)))
    yield Section("numbers", iter(_numbers(citizen_id, keyring)))
    yield Section("credentials", iter(_credentials(citizen_id, keyring)))
    yield Section("identifiers", iter(_identifiers(citizen_id)))
    yield Section("agencies", _agencies(citizen_id, language, provider))
    yield Section("history", _history(citizen_id, language))
    yield Section("sessions", iter(_sessions(citizen_id)))
    yield Section("notices", iter(_notices(citizen_id)))
    yield Section("events", _events(citizen_id))


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat(timespec="seconds")
    return value


def _record(**values: Any) -> Record:
    """Return a record without what is not known."""
    return {name: _text(value) for name, value in values.items() if value is not None and value != ""}


def _released(records: list[Record]) -> list[Record]:
    db.session.rollback()
    return records


def _account(citizen_id: UUID) -> list[Record]:
    row = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    return _released(
        [
            _record(
                state=row.state.value,
                proofing=row.proofing.value,
                registry_status=row.registry_status.value,
                registry_checked_at=row.registry_checked_at,
                language=row.locale,
                created_at=row.created_at,
                updated_at=row.updated_at,
            )
        ]
    )


def _profile(citizen_id: UUID, keyring: Keyring) -> list[Record]:
    row = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    return _released([dict(open_profile(row.profile, row.id, keyring).claims)])


def _numbers(citizen_id: UUID, keyring: Keyring) -> list[Record]:
    rows = db.session.scalars(
        sa.select(CitizenNumber).where(CitizenNumber.citizen_id == citizen_id).order_by(CitizenNumber.valid_from)
    )
    return _released(
        [
            _record(
                number=keyring.unseal(row.number, Place(CitizenNumber.__tablename__, "number", row.id.hex)),
                scheme=row.scheme,
                valid_from=row.valid_from,
                valid_to=row.valid_to,
            )
            for row in rows
        ]
    )


def _credentials(citizen_id: UUID, keyring: Keyring) -> list[Record]:
    found = [
        _record(kind="password", added_at=row.set_at, ended_at=row.disabled_at)
        for row in db.session.scalars(sa.select(PasswordCredential).where(PasswordCredential.citizen_id == citizen_id))
    ]
    found += [
        _record(kind="one-time code", name=row.label, added_at=row.confirmed_at, ended_at=row.disabled_at)
        for row in db.session.scalars(sa.select(TotpCredential).where(TotpCredential.citizen_id == citizen_id))
    ]
    found += [
        _record(
            kind="passkey",
            name=keyring.unseal(row.name, name_place(row.id)),
            added_at=row.created_at,
            last_used_at=row.last_used_at,
            ended_at=row.ended_at,
        )
        for row in db.session.scalars(sa.select(Passkey).where(Passkey.citizen_id == citizen_id))
    ]
    return _released(found)


def _identifiers(citizen_id: UUID) -> list[Record]:
    rows = db.session.scalars(
        sa.select(PairwiseSubject).where(PairwiseSubject.citizen_id == citizen_id).order_by(PairwiseSubject.created_at)
    )
    return _released([_record(sector=row.sector, sub=row.sub, since=row.created_at) for row in rows])


def _agencies(citizen_id: UUID, language: str, provider: Services) -> Iterator[Record]:
    for client, _ in connections.connections(citizen_id, clients=provider.clients):
        found = connections.connection(citizen_id, client, language=language)
        if found is None:
            continue
        yield _record(
            service=client.name(language),
            agency=client.agency_name(language),
            basis="consent" if found.is_consent else "law",
            law=found.legal_basis,
            since=found.since,
            items=[_record(item=each.claim, purpose=each.purpose, since=each.since) for each in found.items],
            lasting=[
                _record(since=each.given_at, last_used_at=each.used_at, until=each.expires_at) for each in found.lasting
            ],
        )


def _history(citizen_id: UUID, language: str) -> Iterator[Record]:
    before = None
    while True:
        page = ledger.page(citizen_id, before=before, is_all=True, language=language, most=BITE)
        for line in page.lines:
            yield _record(
                at=line.at,
                service=line.client,
                agency=line.agency,
                basis=("consent" if line.is_consent else "law") if line.level else None,
                law=line.legal_basis,
                level=f"loa{line.level}" if line.level else None,
                items=[_record(item=each.claim, purpose=each.purpose) for each in line.items],
                device=line.device,
                network=line.network,
            )
        before = page.next
        if before is None:
            return


def _sessions(citizen_id: UUID) -> list[Record]:
    rows = db.session.execute(
        sa.select(SsoSession, SessionOrigin)
        .outerjoin(SessionOrigin, SessionOrigin.session_id == SsoSession.id)
        .where(SsoSession.citizen_id == citizen_id)
        .order_by(SsoSession.opened_at)
    )
    return _released(
        [
            _record(
                opened_at=row.opened_at,
                signed_in_at=row.authenticated_at,
                level=f"loa{row.level}",
                methods=row.amr,
                device=origin.device if origin is not None else None,
                network=origin.network if origin is not None else None,
                until=row.expires_at,
                ended_at=row.ended_at,
            )
            for row, origin in rows
        ]
    )


def _notices(citizen_id: UUID) -> list[Record]:
    rows = db.session.scalars(
        sa.select(OwedNotice).where(OwedNotice.citizen_id == citizen_id).order_by(OwedNotice.created_at)
    )
    return _released([_record(at=row.created_at, kind=row.kind, outcome=row.state) for row in rows])


def personal_events(citizen_id: UUID, after: UUID | None, most: int) -> sa.Select[tuple[AuditEvent]]:
    """Select the first `most` events of a citizen after the one named, those of every login left out."""
    chosen = sa.select(AuditEvent).where(AuditEvent.citizen_id == citizen_id, IS_PERSONAL)
    if after is not None:
        chosen = chosen.where(AuditEvent.id > after)
    return chosen.order_by(AuditEvent.id).limit(most)


def _events(citizen_id: UUID) -> Iterator[Record]:
    newest: UUID | None = None
    while True:
        rows = db.session.scalars(personal_events(citizen_id, newest, BITE)).all()
        newest = rows[-1].id if rows else None
        found = _released([_record(at=row.at, event=row.name, outcome=row.outcome, detail=row.detail) for row in rows])
        yield from found
        if len(found) < BITE:
            return
