"""The lines of a citizen's history, newest first, a page at a time.

A page costs the same for ten lines and for a hundred thousand: it starts where the one before ended, by the index on
citizen and time, and never counts. An agency's lines are looked for in the newest LOOKED_THROUGH lines of the page at
most, and the next page goes on from there: an index by agency would be one more write at every login.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from idp.agencies.models import Agency, Client
from idp.citizens import counter_acts
from idp.core.database import database_now, db
from idp.core.levels import level_of
from idp.core.scopes import OFFLINE_ACCESS, PERSON_CLAIMS
from idp.sso import agreements
from idp.sso.agreements import Agreement, Term, Words
from idp.sso.devices import SessionOrigin
from idp.sso.models import Disclosure

LINES = 20
LOOKED_THROUGH = 2_000
RECENT = timedelta(days=183)
_CURSOR = re.compile(r"([0-9]{1,17})-([0-9a-f]{32})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last line of a page: the next one begins below it."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.id.hex}"

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """Return the cursor in an address, None for anything else."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            return None
        try:
            return cls(_EPOCH + timedelta(microseconds=int(found[1])), UUID(found[2]))
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True)
class Item:
    """One claim of a line. `purpose` is the agency's words as they were read; without `is_kept` nobody kept them."""

    claim: str
    purpose: str = ""
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One sign-in at an agency, or, without a `client`, one at the provider itself.

    `counter` is where an officer helped with it, empty for nobody.
    """

    id: UUID
    at: datetime
    session_id: UUID
    device: str
    network: str
    client: str = ""
    agency: str = ""
    level: int = 0
    is_consent: bool = False
    legal_basis: str = ""
    items: tuple[Item, ...] = field(default=())
    counter: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines; `next` is where the older ones begin, None at the end."""

    lines: tuple[Line, ...]
    next: Cursor | None


def page(
    citizen_id: UUID,
    *,
    before: Cursor | None = None,
    is_all: bool = False,
    agency: str | None = None,
    language: str,
    most: int = LINES,
) -> Page:
    """Return lines older than `before`, of the last six months unless `is_all`; with `agency` (a slug) its own."""
    since = None if is_all else database_now() - RECENT
    shown, following = _disclosures(citizen_id, before, since, agency, most)
    signed_in: Sequence[Any] = ()
    if agency is None:
        signed_in = db.session.execute(origins(citizen_id, before, since, most + 1)).all()
    merged = sorted([*shown, *signed_in], key=lambda row: (row.at, row.id.int), reverse=True)
    if following is None and len(merged) > most:
        following = Cursor(merged[most - 1].at, merged[most - 1].id)
    found = Page(_lines(citizen_id, merged[:most], language), following)
    db.session.rollback()
    return found


def _disclosures(
    citizen_id: UUID, before: Cursor | None, since: datetime | None, agency: str | None, most: int
) -> tuple[Sequence[Any], Cursor | None]:
    """Return the rows of a page and one more; with an agency just the page, and where to go on."""
    if agency is None:
        return db.session.execute(disclosures(citizen_id, before, since, most + 1)).all(), None
    rows = db.session.execute(of_agency(citizen_id, before, since, agency, most + 1)).all()
    if len(rows) > most:
        return rows[:most], Cursor(rows[most - 1].at, rows[most - 1].id)
    last = db.session.execute(disclosures(citizen_id, before, since, 1).offset(LOOKED_THROUGH - 1)).one_or_none()
    return rows, Cursor(last.at, last.id) if last is not None else None


def of_agency(
    citizen_id: UUID, before: Cursor | None, since: datetime | None, agency: str, most: int
) -> sa.Select[Any]:
    """Select the newest `most` disclosures to an agency among the LOOKED_THROUGH below `before`."""
    window = disclosures(citizen_id, before, since, LOOKED_THROUGH).subquery()
    clients = sa.select(Client.id).join(Agency, Agency.id == Client.agency_id).where(Agency.slug == agency)
    return (
        sa.select(window)
        .where(window.c.client_id.in_(clients))
        .order_by(window.c.at.desc(), window.c.id.desc())
        .limit(most)
    )


def disclosures(citizen_id: UUID, before: Cursor | None, since: datetime | None, most: int) -> sa.Select[Any]:
    """Select the newest `most` disclosures below `before`."""
    agreed_at = (
        sa.select(sa.func.max(Agreement.at))
        .where(
            Agreement.citizen_id == Disclosure.citizen_id,
            Agreement.client_id == Disclosure.client_id,
            Agreement.at <= Disclosure.at,
        )
        .scalar_subquery()
    )
    chosen = (
        sa.select(
            Disclosure.id,
            Disclosure.at,
            Disclosure.client_id,
            Disclosure.session_id,
            Disclosure.basis,
            Disclosure.claims,
            Disclosure.acr,
            SessionOrigin.device,
            SessionOrigin.network,
            agreed_at.label("agreed_at"),
        )
        .outerjoin(SessionOrigin, SessionOrigin.session_id == Disclosure.session_id)
        .where(Disclosure.citizen_id == citizen_id)
    )
    return _window(chosen, Disclosure.at, Disclosure.id, before, since).limit(most)


def origins(citizen_id: UUID, before: Cursor | None, since: datetime | None, most: int) -> sa.Select[Any]:
    """Select the newest `most` sign-ins below `before`."""
    chosen = sa.select(
        SessionOrigin.session_id.label("id"),
        SessionOrigin.opened_at.label("at"),
        sa.null().label("client_id"),
        SessionOrigin.session_id,
        SessionOrigin.device,
        SessionOrigin.network,
    ).where(SessionOrigin.citizen_id == citizen_id)
    return _window(chosen, SessionOrigin.opened_at, SessionOrigin.session_id, before, since).limit(most)


def _window(
    chosen: sa.Select[Any],
    at: InstrumentedAttribute[datetime],
    key: InstrumentedAttribute[UUID],
    before: Cursor | None,
    since: datetime | None,
) -> sa.Select[Any]:
    if before is not None:
        # The first condition is for the index, the second for lines of one moment.
        chosen = chosen.where(at <= before.at, sa.or_(at < before.at, key < before.id))
    if since is not None:
        chosen = chosen.where(at >= since)
    return chosen.order_by(at.desc(), key.desc())


# --- words --------------------------------------------------------------------------------------------------------


def _lines(citizen_id: UUID, rows: Sequence[Any], language: str) -> tuple[Line, ...]:
    keys = {(row.client_id, row.agreed_at) for row in rows if row.client_id is not None}
    agreed = {(each.client_id, each.at): each for each in _agreements(citizen_id, keys)}
    digests = {each.wording.hex() for each in agreed.values() if each.wording is not None}
    digests |= {term["wording"] for each in agreed.values() for term in each.terms.values()}
    known = agreements.words(frozenset(digests), language=language)
    names = _names_today({client_id for client_id, _ in keys}, language)
    helped = counter_acts.helped(frozenset(row.session_id for row in rows))
    return tuple(
        replace(
            Line(row.id, row.at, row.session_id, row.device, row.network)
            if row.client_id is None
            else _line(row, agreed.get((row.client_id, row.agreed_at)), known, names),
            counter=_text(helped.get(row.session_id, {}), language),
        )
        for row in rows
    )


def _agreements(citizen_id: UUID, keys: Iterable[tuple[UUID, datetime | None]]) -> Sequence[Agreement]:
    wanted = [key for key in keys if key[1] is not None]
    if not wanted:
        return ()
    return db.session.scalars(
        sa.select(Agreement).where(
            Agreement.citizen_id == citizen_id,
            sa.or_(*(sa.and_(Agreement.client_id == client_id, Agreement.at == at) for client_id, at in wanted)),
        )
    ).all()


def _names_today(client_ids: set[UUID], language: str) -> dict[UUID, tuple[str, str]]:
    """Return client's and agency's name by client, for lines from before names were kept."""
    rows = db.session.execute(
        sa.select(Client.id, Client.document, Agency.names)
        .join(Agency, Agency.id == Client.agency_id)
        .where(Client.id.in_(client_ids))
    )
    return {row.id: (_text(row.document["names"], language), _text(row.names, language)) for row in rows}


def _text(texts: dict[str, str], language: str) -> str:
    return texts.get(language) or texts.get("vi", "")


def _line(row: Any, agreed: Agreement | None, known: dict[str, Words], names: dict[UUID, tuple[str, str]]) -> Line:
    seen = known.get(agreed.wording.hex()) if agreed is not None and agreed.wording is not None else None
    client, agency = (seen.client, seen.agency) if seen is not None else names.get(row.client_id, ("", ""))
    level = level_of(row.acr)
    return Line(
        id=row.id,
        at=row.at,
        session_id=row.session_id,
        device=row.device or "",
        network=row.network or "",
        client=client,
        agency=agency,
        level=int(level) if level is not None else 0,
        is_consent=row.basis == "consent",
        legal_basis=(seen.legal_basis if seen is not None else None) or "",
        items=tuple(_items(row.claims, agreed, known)),
    )


def _items(claims: str, agreed: Agreement | None, known: dict[str, Words]) -> Iterable[Item]:
    names = frozenset(claims.split())
    for claim in (*PERSON_CLAIMS, OFFLINE_ACCESS):
        if claim not in names:
            continue
        stored = agreed.terms.get(claim) if agreed is not None else None
        term = Term.of_stored(stored) if stored is not None else None
        words = known.get(term.wording) if term is not None else None
        if term is None or words is None:
            yield Item(claim, is_kept=False)
        else:
            yield Item(claim, words.purpose(term.scope) or "")


def agencies(citizen_id: UUID, *, language: str) -> list[tuple[str, str]]:
    """Return slug and name of every agency the citizen ever signed in to, by name."""
    rows = db.session.execute(
        sa.select(Agency.slug, Agency.names).where(
            Agency.id.in_(
                sa.select(Client.agency_id)
                .join(Agreement, Agreement.client_id == Client.id)
                .where(Agreement.citizen_id == citizen_id)
            )
        )
    ).all()
    db.session.rollback()
    return sorted(((row.slug, _text(row.names, language)) for row in rows), key=lambda pair: pair[1])
