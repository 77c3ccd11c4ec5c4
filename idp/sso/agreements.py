"""What a citizen has agreed to or been told of, over time, in the very words that stood on the page.

`sso.consent` keeps what is in force today, which every login reads. Here every change of it is kept, and the words: the
agency may write others tomorrow, and what was sent must stay readable as it was agreed. Rows are only ever inserted.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.agencies.clients import Client
from idp.citizens.models import insert
from idp.core.database import Instant, Json, Model, database_now, db


class Act(StrEnum):
    """What changed: the citizen agreed, was told of the law, or took something back."""

    AGREED = "agreed"
    TOLD = "told"
    WITHDRAWN = "withdrawn"


class Wording(Model):
    """The texts of one client as they stood on a page, kept once however many people read them."""

    __tablename__ = "wording"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True, doc="SHA-256 of the document")
    document: Mapped[dict[str, Any]] = mapped_column(Json, doc="Names, purposes and legal basis, by language")


class Agreement(Model):
    """Everything in force between one citizen and one client from `at` on, until the next row of the two."""

    __tablename__ = "agreement"

    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    act: Mapped[str] = mapped_column(sa.String(16))
    language: Mapped[str] = mapped_column(sa.String(8), doc="Of the page")
    wording: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), doc="Of the page; None when none was kept")
    terms: Mapped[dict[str, dict[str, str]]] = mapped_column(Json, doc="By claim, see Term")


@dataclass(frozen=True, slots=True)
class Term:
    """One item in force: since when, in which words (digest in hex), for which scope's purpose."""

    since: datetime
    wording: str
    scope: str

    def stored(self) -> dict[str, str]:
        """Return the term as it is kept."""
        return {"since": self.since.isoformat(), "wording": self.wording, "scope": self.scope}

    @classmethod
    def of_stored(cls, stored: Mapping[str, str]) -> Self:
        """Return the term a row holds."""
        return cls(datetime.fromisoformat(stored["since"]), stored["wording"], stored["scope"])


def newest(citizen_id: UUID, client_id: UUID) -> Agreement | None:
    """Return what is in force between a citizen and a client, in the caller's transaction."""
    return db.session.scalar(
        sa.select(Agreement)
        .where(Agreement.citizen_id == citizen_id, Agreement.client_id == client_id)
        .order_by(Agreement.at.desc())
        .limit(1)
    )


def keep(
    citizen_id: UUID, client: Client, *, scopes: Mapping[str, str], act: Act, language: str, starts_anew: bool
) -> None:
    """Add that the citizen agreed to, or was told of, the claims in `scopes` (claim to scope); the caller commits.

    What was in force stays so unless it `starts_anew`. Reading the same words twice adds nothing.
    """
    now = database_now()
    before = newest(citizen_id, client.id)
    is_kept = before is not None and not starts_anew
    known = before.terms if before is not None and is_kept else {}
    digest = _keep_wording(client)
    terms = dict(known)
    for claim, scope in scopes.items():
        old = known.get(claim)
        if old is None or old["wording"] != digest.hex() or old["scope"] != scope:
            terms[claim] = Term(now, digest.hex(), scope).stored()
    if before is not None and is_kept and terms == known and before.act == act and before.wording == digest:
        return
    _add(citizen_id, client.id, now, act=act, language=language, wording=digest, terms=terms)


def withdraw(citizen_id: UUID, client_id: UUID, claims: frozenset[str], *, language: str) -> None:
    """Add that the citizen took back `claims`; the caller commits."""
    before = newest(citizen_id, client_id)
    known = before.terms if before is not None else {}
    terms = {claim: term for claim, term in known.items() if claim not in claims}
    wording = before.wording if before is not None else None
    _add(citizen_id, client_id, database_now(), act=Act.WITHDRAWN, language=language, wording=wording, terms=terms)


def _add(
    citizen_id: UUID,
    client_id: UUID,
    at: datetime,
    *,
    act: Act,
    language: str,
    wording: bytes | None,
    terms: Mapping[str, Mapping[str, str]],
) -> None:
    # Two clicks of one moment say the same.
    db.session.execute(
        insert(Agreement)
        .values(
            citizen_id=citizen_id,
            client_id=client_id,
            at=at,
            act=act.value,
            language=language,
            wording=wording,
            terms=dict(terms),
        )
        .on_conflict_do_nothing()
    )


def _keep_wording(client: Client) -> bytes:
    document = {
        "names": dict(client.names),
        "agency_names": dict(client.agency_names),
        "purposes": {scope: dict(texts) for scope, texts in client.purposes.items()},
        "legal_bases": dict(client.legal_bases),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    db.session.execute(insert(Wording).values(digest=digest, document=document).on_conflict_do_nothing())
    return digest


class Words:
    """The texts of one wording, in the language of the reader or in Vietnamese."""

    def __init__(self, document: Mapping[str, Any], language: str) -> None:
        self._document = document
        self._language = language

    @property
    def client(self) -> str:
        """Return the name of the client as it was called then."""
        return self._in("names") or ""

    @property
    def agency(self) -> str:
        """Return the name of its agency as it was called then."""
        return self._in("agency_names") or ""

    @property
    def legal_basis(self) -> str | None:
        """Return the law named then, None with consent."""
        return self._in("legal_bases")

    def purpose(self, scope: str) -> str | None:
        """Return what the scope was wanted for, None where nothing had to be said."""
        return _in(self._document["purposes"].get(scope, {}), self._language)

    def _in(self, name: str) -> str | None:
        return _in(self._document[name], self._language)


def _in(texts: Mapping[str, str], language: str) -> str | None:
    return texts.get(language) or texts.get("vi") or next(iter(texts.values()), None)


def words(digests: frozenset[str], *, language: str) -> dict[str, Words]:
    """Return the wordings of `digests` (hex) that are kept, in the caller's transaction."""
    keys = [bytes.fromhex(digest) for digest in digests if digest]
    if not keys:
        return {}
    rows = db.session.scalars(sa.select(Wording).where(Wording.digest.in_(keys)))
    return {row.digest.hex(): Words(row.document, language) for row in rows}
