"""Pairwise subjects: the name under which one sector of agencies knows a citizen.

Owns the computation and the record. The record, not the computation, is the truth: it survives a new key, a new
number and a new name (OpenID Connect Core 1.0, 8.1).
"""

import base64
from uuid import UUID

import sqlalchemy as sa

from idp.citizens.models import PairwiseSubject, insert
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import Keyring, Purpose


def subject(citizen_id: UUID, sector: str, *, keyring: Keyring) -> str:
    """Return the `sub` of a citizen for `sector`: 43 base64url characters, the same for ever.

    Side effects: the first call for a citizen and sector writes the record and commits. Safe to race: whoever
    writes first decides, everybody reads that value back.
    """
    known = _stored(citizen_id, sector)
    if known is None:
        first = {
            "citizen_id": citizen_id,
            "sector": sector,
            "sub": derive(citizen_id, sector, keyring=keyring),
            "created_at": clock.now(),
        }
        db.session.execute(insert(PairwiseSubject).values(first).on_conflict_do_nothing())
        db.session.commit()
        known = _stored(citizen_id, sector)
    db.session.commit()
    if known is None:
        raise LookupError("a pairwise subject that was just written is gone")
    return known


def derive(citizen_id: UUID, sector: str, *, keyring: Keyring) -> str:
    """Return the subject that the present key gives; for callers that write the record in a statement of their own."""
    name = sector.encode()
    # The length in front keeps two sectors from running into one message with the key of the citizen.
    message = len(name).to_bytes(4, "big") + name + citizen_id.bytes
    return base64.urlsafe_b64encode(keyring.hmac(Purpose.SUBJECT, message)).rstrip(b"=").decode()


def _stored(citizen_id: UUID, sector: str) -> str | None:
    stored = sa.select(PairwiseSubject.sub).where(
        PairwiseSubject.citizen_id == citizen_id, PairwiseSubject.sector == sector
    )
    return db.session.scalars(stored).one_or_none()
