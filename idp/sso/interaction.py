r"""The interaction: one authorization request on its way through the pages.

    open --> confirmed? --> authenticated? --> selected? --> agreed? --> finished
                                   \____________ denied ____________/

The browser carries a handle in the path and the flow cookie's secret; the row keeps the digest of both. Without the
cookie the handle opens nothing: a link sent to somebody else is worthless (Dex CVE-2022-39222). Every transition is
one guarded statement.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.core import clock, errors
from idp.core.database import HotPath, as_uuid, database_now, db
from idp.core.errors import Failure
from idp.core.ids import digest, is_same, new_handle, new_id, new_secret
from idp.core.keyring import Keyring, Place
from idp.core.settings import Settings
from idp.sso.models import START, VISITED, Interaction
from idp.sso.request import AuthorizationRequest
from idp.sso.situation import Progress, Standing

FLOW_COOKIE = "flow-"
_NAME_LENGTH = 8
MOST_FLOWS = 8
LONGEST = timedelta(hours=1)
"""So long an interaction may live while its citizen makes an account."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new interaction: the handle for the path and the secret for the flow cookie."""

    handle: str
    flow_secret: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a page of an interaction, whose flow cookie was right."""

    handle: str
    flow_secret: str
    id: UUID
    client_id: UUID | None
    request: AuthorizationRequest
    session_id: UUID | None
    has_authenticated: bool
    has_selected: bool
    has_agreed: bool
    has_denied: bool
    has_confirmed: bool
    has_bound_key: bool
    has_settled: bool
    code_digest: bytes | None
    is_finished: bool

    def progress(self, standing: Standing | None) -> Progress:
        """Return how far the citizen of `standing` has come.

        What another session did on these pages does not count: somebody may have signed in anew in another tab.
        """
        if standing is None or standing.session_id != self.session_id:
            return Progress(has_denied=self.has_denied, has_confirmed=self.has_confirmed)
        return Progress(
            self.has_authenticated,
            self.has_selected,
            self.has_agreed,
            self.has_denied,
            self.has_confirmed,
            self.has_bound_key,
            self.has_settled,
        )


def cookie_name(handle: str) -> str:
    """Return the name of the flow cookie of `handle`: one for each interaction, so that tabs do not disturb."""
    return FLOW_COOKIE + handle[:_NAME_LENGTH]


def open_interaction(
    request: AuthorizationRequest, client_id: UUID | None, *, settings: Settings, keyring: Keyring, hot_path: HotPath
) -> Opened:
    """Store a checked request, sealed because a login hint may be a number; committed.

    `client_id` is None for the provider's own pages (`sso.own_pages`). A transaction of the caller is ended before.
    Raises DatabaseUnavailable.
    """
    db.session.commit()
    handle, flow_secret, key = new_handle(), new_secret(), new_id()
    values = {
        "id": key,
        "handle_digest": digest(handle),
        "flow_digest": digest(flow_secret),
        "client_id": client_id,
        "request": keyring.seal(json.dumps(request.to_document()), _place(key)),
        "lifetime": settings.interaction_lifetime,
    }
    hot_path.apply(START, values)
    return Opened(handle, flow_secret)


def _place(interaction_id: UUID) -> Place:
    return Place(Interaction.__tablename__, "request", interaction_id.hex)


def find_client(handle: str) -> UUID | None:
    """Return the client of an interaction whose cookie is lost, so that its page can lead back to the portal."""
    client_id = db.session.scalar(sa.select(Interaction.client_id).where(Interaction.handle_digest == digest(handle)))
    db.session.rollback()
    return client_id


def visit(handle: str, flow_secret: str | None, *, keyring: Keyring, hot_path: HotPath) -> Visit:
    """Return the interaction of `handle` for the browser that holds its flow cookie.

    Raises Failure: FLOW_LOST without the right cookie, FLOW_EXPIRED when it took too long.
    """
    row = hot_path.one(VISITED, {"handle": digest(handle)})
    if row is None or not flow_secret or not is_same(digest(flow_secret), row["flow_digest"]):
        raise Failure(errors.FLOW_LOST)
    if row["is_over"]:
        raise Failure(errors.FLOW_EXPIRED)
    key = as_uuid(row["id"])
    return Visit(
        handle=handle,
        flow_secret=flow_secret,
        id=key,
        client_id=None if row["client_id"] is None else as_uuid(row["client_id"]),
        request=AuthorizationRequest.from_document(json.loads(keyring.unseal(row["request"], _place(key)))),
        session_id=None if row["session_id"] is None else as_uuid(row["session_id"]),
        has_authenticated=row["authenticated_at"] is not None,
        has_selected=row["selected_at"] is not None,
        has_agreed=row["agreed_at"] is not None,
        has_denied=row["denied_at"] is not None,
        has_confirmed=row["confirmed_at"] is not None,
        has_bound_key=row["bound_key_at"] is not None,
        has_settled=row["settled_at"] is not None,
        code_digest=row["code_digest"],
        is_finished=row["finished_at"] is not None,
    )


def lock(interaction_id: UUID) -> UUID | None:
    """Return the session that these pages have signed in so far, and hold the row until the caller commits."""
    return db.session.scalar(
        sa.select(Interaction.session_id).where(Interaction.id == interaction_id).with_for_update()
    )


def mark_authenticated(interaction_id: UUID, session_id: UUID, *, with_bound_key: bool = False) -> None:
    """Note the session that signed in on these pages, and whether by a device-bound passkey; the caller commits.

    Consent given before belongs to whoever was signed in then, so it is forgotten, and so is a key used before.
    """
    now = clock.now()
    _mark(
        interaction_id,
        authenticated_at=now,
        session_id=session_id,
        agreed_at=None,
        bound_key_at=now if with_bound_key else None,
        settled_at=None,
    )


def mark_raised(visited: Visit, session_id: UUID, *, with_bound_key: bool = False) -> None:
    """Note the session that was raised on these pages, and whether by a device-bound passkey; the caller commits."""
    used = {"bound_key_at": clock.now()} if with_bound_key else {}
    _mark(visited.id, **(_of_session(visited, session_id) | used))


def mark_settled(visited: Visit, session_id: UUID) -> None:
    """Note that the citizen goes on below the level the portal wished for; the caller commits."""
    _mark(visited.id, **(_of_session(visited, session_id) | {"settled_at": clock.now()}))


def mark_selected(visited: Visit, session_id: UUID) -> None:
    """Note that the citizen chose to go on with the account of this session; the caller commits."""
    _mark(visited.id, **(_of_session(visited, session_id) | {"selected_at": clock.now()}))


def mark_agreed(visited: Visit, session_id: UUID) -> None:
    """Note that the citizen of this session agreed, or read the notice; the caller commits."""
    _mark(visited.id, **(_of_session(visited, session_id) | {"agreed_at": clock.now()}))


def prolong(interaction_id: UUID, *, settings: Settings) -> int:
    """Give an interaction whose citizen is making an account the time for it; the caller commits.

    Each step gives as long as a whole sign-in, an hour in all. Return the seconds the flow cookie must live from now.
    """
    now = database_now()
    row = Interaction
    created_at = db.session.execute(sa.select(row.created_at).where(row.id == interaction_id)).scalar_one()
    until = min(now + timedelta(seconds=settings.interaction_lifetime), created_at + LONGEST)
    db.session.execute(
        sa.update(row).where(row.id == interaction_id, row.expires_at < until).values(expires_at=until),
        execution_options={"synchronize_session": False},
    )
    return max(1, int((created_at + LONGEST - now).total_seconds()))


def mark_confirmed(visited: Visit) -> None:
    """Note the yes to a request from another device; the caller commits."""
    _mark(visited.id, confirmed_at=clock.now())


def keep_open(visited: Visit, *, seconds: int) -> None:
    """Give the pages of an interaction more time from now, because people are at work for it; the caller commits."""
    _mark(visited.id, expires_at=database_now() + timedelta(seconds=seconds))


def finish(visited: Visit) -> None:
    """Note that the pages of an interaction without a portal have led to their end, and commit."""
    _mark(visited.id, finished_at=clock.now())
    db.session.commit()


def _of_session(visited: Visit, session_id: UUID) -> dict[str, object]:
    """Return the values that make the interaction this session's: what another one did is forgotten."""
    if visited.session_id in (None, session_id):
        return {"session_id": session_id}
    of_the_other = ("authenticated_at", "bound_key_at", "settled_at", "selected_at", "agreed_at")
    return {"session_id": session_id, **dict.fromkeys(of_the_other)}


def deny(visited: Visit, event: Event, *, citizen_id: UUID | None) -> None:
    """Note that the citizen turned back, and commit. Events: the one given."""
    _mark(visited.id, denied_at=clock.now())
    record(db.session, event, citizen_id=citizen_id, client_id=visited.client_id)
    db.session.commit()


def _mark(interaction_id: UUID, **values: object) -> None:
    db.session.execute(
        sa.update(Interaction).where(Interaction.id == interaction_id, Interaction.finished_at.is_(None)).values(values)
    )


def surplus(cookie_names: list[str]) -> list[str]:
    """Return the flow cookies to drop so that one more fits: browsers send the oldest first."""
    flows = [name for name in cookie_names if FLOW_COOKIE in name]
    return flows[: max(0, len(flows) - MOST_FLOWS + 1)]
