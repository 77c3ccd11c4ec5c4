"""Acts on providers: added or changed from a document, disabled, enabled; each with its event in one transaction.

Whoever looked at a record before changing it says which version that was (`seen`), and is refused when somebody was
faster; `by` is the member of staff who acts, None on the command line.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.transaction import in_one_transaction
from idp.audit.events import Event
from idp.audit.record import actor, record
from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.keys import decryption, rotation
from idp.upstream.document import ProviderDocument
from idp.upstream.models import ProviderState, UpstreamProvider, secret_place
from idp.upstream.record import Endpoint

# Where a secret is sent to: at one of these, or at what the issuer's metadata says.
_SENT_TO: Final = ("issuer", Endpoint.TOKEN, Endpoint.PUSHED)


class UnknownProvider(LookupError):
    """There is no provider of this name."""


class OutdatedProvider(Exception):
    """The record is another than the one that was looked at."""


def apply(
    document: ProviderDocument, *, keyring: Keyring, by: UUID | None = None, seen: int | None = None
) -> tuple[UpstreamProvider, bool]:
    """Create or change the provider of `document`; return its row and whether it is new. Commits.

    Version 0 is seen where there was none. A document that says what is on record, without a secret, changes nothing:
    the version stays, and there is no event. Side effects: makes the keys that it is to encrypt to, where there are
    none yet, in a transaction of their own. Raises OutdatedProvider.
    """
    kinds = {decryption.KIND_BY_ALGORITHM[each.alg] for each in document.record.encryptions.values()}
    rotation.ensure_keys(keyring, sorted(kinds))

    def write() -> tuple[UpstreamProvider, bool]:
        now = clock.now()
        row = _find(document.slug)
        is_new = row is None
        check_seen(0 if row is None else row.version, seen)
        if row is not None and document.secret is None and row.document == dict(document.members):
            return row, False
        if row is None:
            row = UpstreamProvider(
                id=new_id(),
                slug=document.slug,
                state=ProviderState.ENABLED,
                document={},
                version=0,
                created_at=now,
                updated_at=now,
            )
            db.session.add(row)
        if document.secret is not None:
            row.client_secret = keyring.seal(document.secret, secret_place(row.id))
        elif not _goes_where_it_went(row.document, document.members):
            row.client_secret = None
        row.document = dict(document.members)
        row.version += 1
        row.updated_at = now
        record(
            db.session,
            Event.UPSTREAM_APPLIED,
            outcome="created" if is_new else "updated",
            detail={"provider": row.slug, "version": row.version, **actor(by)},
        )
        return row, is_new

    return in_one_transaction(write)


def keeps_secret(members: Mapping[str, Any]) -> bool:
    """Tell whether the secret on record goes on for a provider described anew by `members`.

    Not where an address that receives it is another: whoever may change a record would be sent the secret.
    """
    query = sa.select(UpstreamProvider.document).where(
        UpstreamProvider.slug == str(members.get("slug")), UpstreamProvider.client_secret.is_not(None)
    )
    kept = db.session.scalar(query)
    db.session.rollback()
    return kept is not None and _goes_where_it_went(kept, members)


def _goes_where_it_went(kept: Mapping[str, Any], members: Mapping[str, Any]) -> bool:
    return all(kept.get(name) == members.get(name) for name in _SENT_TO)


def all_providers() -> tuple[UpstreamProvider, ...]:
    """Return every provider there is, by name."""
    rows = tuple(db.session.scalars(sa.select(UpstreamProvider).order_by(UpstreamProvider.slug)))
    db.session.commit()
    return rows


def set_state(slug: str, state: ProviderState, *, by: UUID | None = None, seen: int | None = None) -> bool:
    """Disable or enable a provider; False when it was so already. Raises UnknownProvider, OutdatedProvider. Commits."""

    def change() -> bool:
        row = find(slug)
        check_seen(row.version, seen)
        if row.state == state:
            return False
        row.state = state
        row.version += 1
        row.updated_at = clock.now()
        record(db.session, Event.UPSTREAM_SWITCHED, outcome=state, detail={"provider": slug, **actor(by)})
        return True

    return in_one_transaction(change)


def find(slug: str) -> UpstreamProvider:
    """Return the row of a provider, held until the caller commits. Raises UnknownProvider."""
    row = _find(slug)
    if row is None:
        raise UnknownProvider(slug)
    return row


def check_seen(version: int, seen: int | None) -> None:
    """Refuse a change of what nobody looked at. Raises OutdatedProvider."""
    if seen is not None and seen != version:
        raise OutdatedProvider


def _find(slug: str) -> UpstreamProvider | None:
    return db.session.scalar(sa.select(UpstreamProvider).where(UpstreamProvider.slug == slug).with_for_update())
