"""Writing events."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session, scoped_session

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.core import clock
from idp.core.ids import new_id
from idp.core.logging import current_reference

DONE = "done"


def record(
    session: Session | scoped_session[Any],
    event: Event,
    *,
    citizen_id: UUID | None = None,
    client_id: UUID | None = None,
    session_id: UUID | None = None,
    outcome: str = DONE,
    detail: Mapping[str, str | int | bool] | None = None,
) -> None:
    """Add one event to the unit of work of `session`; it is committed with the act, or not at all.

    `outcome` is a short word, `detail` holds codes and counts only. Side effects: none before the commit.
    """
    session.add(
        AuditEvent(
            id=new_id(),
            at=clock.now(),
            name=event.value,
            citizen_id=citizen_id,
            client_id=client_id,
            session_id=session_id,
            outcome=outcome,
            reference=current_reference(),
            detail=dict(detail) if detail else None,
        )
    )


def actor(by: UUID | None) -> dict[str, str]:
    """Return what the detail of an event says about who acted: the member of staff, nothing for the command line."""
    return {} if by is None else {"by": by.hex}
