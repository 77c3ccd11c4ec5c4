"""What is in force between one citizen and the agencies, read for the pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.clients import Client, ClientDirectory
from idp.core.database import database_now, db
from idp.core.scopes import OFFLINE_ACCESS, PERSON_CLAIMS
from idp.oidc.models import OfflineGrant
from idp.sso import agreements
from idp.sso.agreements import Act, Agreement, Term
from idp.sso.models import Consent


@dataclass(frozen=True, slots=True)
class Item:
    """One claim in force. `since` is None, and `purpose` empty, where nobody kept when and why."""

    claim: str
    purpose: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Lasting:
    """Access that outlives the session. `used_at` is the last time it was used, None when never."""

    given_at: datetime
    used_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Connection:
    """One client a citizen is connected to."""

    client: Client
    is_consent: bool
    since: datetime
    items: tuple[Item, ...] = field(default=())
    lasting: tuple[Lasting, ...] = field(default=())
    legal_basis: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A client that the citizen took everything back from."""

    client: Client
    at: datetime


def connections(citizen_id: UUID, *, clients: ClientDirectory) -> list[tuple[Client, bool]]:
    """Return the clients a citizen is connected to, and whether by consent; in no order."""
    rows = db.session.execute(sa.select(Consent.client_id, Consent.basis).where(Consent.citizen_id == citizen_id)).all()
    db.session.rollback()
    found = ((clients.by_row_id(row.client_id), row.basis == "consent") for row in rows)
    return [(client, is_consent) for client, is_consent in found if client is not None]


def withdrawn(citizen_id: UUID, *, clients: ClientDirectory) -> list[Withdrawn]:
    """Return the clients a citizen took everything back from and did not return to, the latest first."""
    latest = (
        sa.select(Agreement.client_id, sa.func.max(Agreement.at).label("at"))
        .where(Agreement.citizen_id == citizen_id)
        .group_by(Agreement.client_id)
        .subquery()
    )
    rows = db.session.execute(
        sa.select(Agreement.client_id, Agreement.at)
        .join(latest, sa.and_(latest.c.client_id == Agreement.client_id, latest.c.at == Agreement.at))
        .outerjoin(Consent, sa.and_(Consent.client_id == Agreement.client_id, Consent.citizen_id == citizen_id))
        .where(Agreement.citizen_id == citizen_id, Agreement.act == Act.WITHDRAWN.value, Consent.client_id.is_(None))
        .order_by(Agreement.at.desc())
    ).all()
    db.session.rollback()
    found = ((clients.by_row_id(row.client_id), row.at) for row in rows)
    return [Withdrawn(client, at) for client, at in found if client is not None]


def connection(citizen_id: UUID, client: Client, *, language: str) -> Connection | None:
    """Return what is in force between a citizen and a client; None when they are not connected."""
    row = db.session.get(Consent, (citizen_id, client.id))
    if row is None:
        db.session.rollback()
        return None
    newest = agreements.newest(citizen_id, client.id)
    terms = {claim: Term.of_stored(term) for claim, term in newest.terms.items()} if newest is not None else {}
    read_on = newest.wording.hex() if newest is not None and newest.wording is not None else ""
    known = agreements.words(frozenset({read_on, *(term.wording for term in terms.values())}), language=language)
    law = known[read_on].legal_basis if read_on in known else client.legal_basis(language)
    found = Connection(
        client=client,
        is_consent=row.basis == "consent",
        since=row.created_at,
        items=tuple(_items(row.claims, terms, known)),
        lasting=_lasting(citizen_id, client.id),
        legal_basis=law or "",
    )
    db.session.rollback()
    return found


def _items(claims: str, terms: Mapping[str, Term], known: Mapping[str, agreements.Words]) -> list[Item]:
    names = frozenset(claims.split())
    items = []
    for claim in (*PERSON_CLAIMS, OFFLINE_ACCESS):
        if claim in names:
            term = terms.get(claim)
            words = known.get(term.wording) if term is not None else None
            purpose = words.purpose(term.scope) if words is not None and term is not None else None
            items.append(Item(claim, purpose or "", term.since if term is not None else None))
    return items


def _lasting(citizen_id: UUID, client_id: UUID) -> tuple[Lasting, ...]:
    now = database_now()
    rows: Any = db.session.scalars(
        sa.select(OfflineGrant)
        .where(
            OfflineGrant.citizen_id == citizen_id,
            OfflineGrant.client_id == client_id,
            OfflineGrant.revoked_at.is_(None),
            OfflineGrant.expires_at > now,
            OfflineGrant.idle_expires_at > now,
        )
        .order_by(OfflineGrant.created_at.desc())
    )
    return tuple(Lasting(row.created_at, row.refreshed_at, min(row.expires_at, row.idle_expires_at)) for row in rows)
