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
from idp.citizens import closing, counter_acts, mandates, person_key, rights
from idp.citizens.claims import profile_of, source_of
from idp.citizens.credentials import apps
from idp.citizens.credentials.passkey import name_place
from idp.citizens.models import (
    Citizen,
    CitizenNumber,
    PairwiseSubject,
    Passkey,
    PasswordCredential,
    RecoverySheet,
    TotpCredential,
    number_place,
)
from idp.core.database import db
from idp.core.keyring import Keyring
from idp.core.scopes import OFFLINE_ACCESS
from idp.notify.models import OwedNotice
from idp.sso.devices import SessionOrigin
from idp.sso.disowned import Disowned
from idp.sso.models import SsoSession
from idp.sso.services import Services
from idp.upstream import say

BITE = 500
_OTHERS = frozenset({"officer", "second"})
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
    yield Section("mandates", iter(_mandates(citizen_id, language, provider)))
    yield Section("counter", iter(_counter(citizen_id, language)))
    yield Section("providers", iter(_providers(citizen_id, language, provider)))
    yield Section("sessions", iter(_sessions(citizen_id)))
    yield Section("notices", iter(_notices(citizen_id)))
    yield Section("reports", iter(_reports(citizen_id)))
    yield Section("requests", iter(_requests(citizen_id, keyring)))
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
                closes_at=closing.waiting(citizen_id),
            )
        ]
    )


def _profile(citizen_id: UUID, keyring: Keyring) -> list[Record]:
    row = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    return _released([dict(profile_of(row, keyring).claims)])


def _numbers(citizen_id: UUID, keyring: Keyring) -> list[Record]:
    key = person_key.read(citizen_id, keyring=keyring)
    rows = db.session.scalars(
        sa.select(CitizenNumber).where(CitizenNumber.citizen_id == citizen_id).order_by(CitizenNumber.valid_from)
    )
    return _released(
        [
            _record(
                number=key.unseal(row.number, number_place(row.id)),
                scheme=row.scheme,
                valid_from=row.valid_from,
                valid_to=row.valid_to,
            )
            for row in rows
        ]
    )


def _credentials(citizen_id: UUID, keyring: Keyring) -> list[Record]:
    key = person_key.read(citizen_id, keyring=keyring)
    found = [
        _record(kind="password", added_at=row.set_at, ended_at=row.disabled_at)
        for row in db.session.scalars(sa.select(PasswordCredential).where(PasswordCredential.citizen_id == citizen_id))
    ]
    found += [
        _record(
            kind="one-time code",
            name="" if row.name is None else key.unseal(row.name, apps.name_place(row.id)),
            added_at=row.confirmed_at,
            ended_at=row.disabled_at,
        )
        for row in db.session.scalars(sa.select(TotpCredential).where(TotpCredential.citizen_id == citizen_id))
    ]
    found += [
        _record(
            kind="passkey",
            name=key.unseal(row.name, name_place(row.id)),
            added_at=row.created_at,
            last_used_at=row.last_used_at,
            ended_at=row.ended_at,
        )
        for row in db.session.scalars(sa.select(Passkey).where(Passkey.citizen_id == citizen_id))
    ]
    found += [
        _record(kind="recovery codes", added_at=row.made_at, ended_at=row.disabled_at)
        for row in db.session.scalars(sa.select(RecoverySheet).where(RecoverySheet.citizen_id == citizen_id))
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


def _mandates(citizen_id: UUID, language: str, provider: Services) -> list[Record]:
    found = []
    for known in mandates.of_citizen(citizen_id, keyring=provider.keyring):
        clients = [provider.clients.find(client_id) for client_id in known.services]
        found.append(
            _record(
                counter=known.counter_name(language),
                service=", ".join(client.name(language) for client in clients if client is not None),
                purpose=known.purpose,
                valid_from=known.valid_from,
                valid_to=known.valid_to,
                ended_at=known.ended_at,
                reference=known.reference,
            )
        )
    return _released(found)


def _counter(citizen_id: UUID, language: str) -> list[Record]:
    return _released(
        [
            _record(at=line.at, act=line.act, counter=line.counter_name(language), reference=line.reference)
            for line in counter_acts.of_citizen(citizen_id)
        ]
    )


def _item(item: ledger.Item) -> Record:
    source = None if item.claim == OFFLINE_ACCESS else source_of(item.claim).value
    return _record(item=item.claim, purpose=item.purpose, source=source)


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
                items=[_item(each) for each in line.items],
                device=line.device,
                network=line.network,
                counter=line.counter,
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


def _providers(citizen_id: UUID, language: str, provider: Services) -> list[Record]:
    """Return the identity providers used or spoken of; one without a name stands for all that come later."""
    said = say.read(citizen_id)
    known = {each.id: each.name(language) for each in provider.providers.all()}
    found = [
        _record(
            name=known.get(key, str(key)),
            last_used_at=said.used.get(key),
            state="allowed" if said.allows(key) else "blocked",
        )
        for key in sorted(said.used.keys() | said.named.keys())
    ]
    if not said.others:
        found.append(_record(kind="future", state="blocked"))
    return _released(found)


def _notices(citizen_id: UUID) -> list[Record]:
    rows = db.session.scalars(
        sa.select(OwedNotice).where(OwedNotice.citizen_id == citizen_id).order_by(OwedNotice.created_at)
    )
    return _released([_record(at=row.created_at, kind=row.kind, outcome=row.state) for row in rows])


def _reports(citizen_id: UUID) -> list[Record]:
    rows = db.session.scalars(sa.select(Disowned).where(Disowned.citizen_id == citizen_id).order_by(Disowned.id))
    return _released([_record(at=row.at, reference=row.reference, kind=row.kind) for row in rows])


def _requests(citizen_id: UUID, keyring: Keyring) -> list[Record]:
    return _released(
        [
            _record(
                asked_at=asked.asked_at,
                reference=asked.reference,
                kind=asked.right.value,
                words=asked.words,
                state=asked.state.value,
                answer_due_at=asked.answer_due_at,
                answered_at=asked.answered_at,
                answer=asked.answer,
                done_due_at=asked.done_due_at,
            )
            for asked in rights.of(citizen_id, keyring=keyring)
        ]
    )


def personal_events(citizen_id: UUID, after: UUID | None, most: int) -> sa.Select[tuple[AuditEvent]]:
    """Select the first `most` events of a citizen after the one named, those of every login left out."""
    chosen = sa.select(AuditEvent).where(AuditEvent.citizen_id == citizen_id, IS_PERSONAL)
    if after is not None:
        chosen = chosen.where(AuditEvent.id > after)
    return chosen.order_by(AuditEvent.id).limit(most)


def _own(detail: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the detail of an event without the keys of the officers in it: those are about somebody else."""
    return detail and {name: value for name, value in detail.items() if name not in _OTHERS}


def _events(citizen_id: UUID) -> Iterator[Record]:
    newest: UUID | None = None
    while True:
        rows = db.session.scalars(personal_events(citizen_id, newest, BITE)).all()
        newest = rows[-1].id if rows else None
        found = _released(
            [_record(at=row.at, event=row.name, outcome=row.outcome, detail=_own(row.detail)) for row in rows]
        )
        yield from found
        if len(found) < BITE:
            return
