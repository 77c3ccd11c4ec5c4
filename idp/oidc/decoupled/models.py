"""The table of requests that are approved on another device than the one that asked, and its statements."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Change, Instant, Model, Query
from idp.oidc.statements import ISSUE_CODE_AFTER_PAGES


class Kind(StrEnum):
    """How the citizen learns of the request: by a code to type (RFC 8628), or because a portal named them (CIBA)."""

    DEVICE = "device"
    BACKCHANNEL = "backchannel"


class DecoupledRequest(Model):
    """A device authorization (RFC 8628) or a backchannel authentication (CIBA), waiting for its citizen.

    `digest` is that of the device_code or auth_req_id. Approving writes an ordinary authorization code under a digest
    that only the provider can derive from this one, so that everything after it is the code grant.
    """

    __tablename__ = "decoupled_request"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    kind: Mapped[Kind] = mapped_column(sa.String(16))
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    citizen_id: Mapped[UUID | None] = mapped_column(
        sa.Uuid, doc="Whom CIBA's hint named; None for a device, and for a hint that named nobody"
    )
    user_code_digest: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), unique=True, doc="HMAC of the user code")
    request: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON of the checked request")
    shown: Mapped[str] = mapped_column(sa.Text, doc="Sealed: the code or message a citizen compares")
    seconds_between_polls: Mapped[int] = mapped_column(sa.Integer)
    polled_at: Mapped[datetime | None] = mapped_column(Instant)
    is_hasty: Mapped[bool] = mapped_column(sa.Boolean, doc="Whether the last poll came too soon")
    approved_at: Mapped[datetime | None] = mapped_column(Instant)
    denied_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)

    __table_args__ = (sa.Index("ix_decoupled_request_citizen_id_expires_at", "citizen_id", "expires_at"),)


EXPIRING = (("decoupled_request", "expires_at", 86_400),)

# The interval and its growth are judged by the row itself, so that of two polls at once one is too soon (RFC 8628,
# 3.5: each slow_down adds five seconds for good; the ceiling only keeps the number small).
_IS_HASTY = "polled_at IS NOT NULL AND polled_at > {ago_seconds_between_polls}"
POLL = Change(
    first=f"""
    UPDATE decoupled_request SET polled_at = {{now}}, is_hasty = ({_IS_HASTY}),
        seconds_between_polls = seconds_between_polls
            + CASE WHEN {_IS_HASTY} AND seconds_between_polls < 120 THEN :penalty ELSE 0 END
    WHERE digest = :digest AND client_id = :client_id AND kind = :kind
    """,  # noqa: S608 (constants of this module alone)
    # Columns, not conditions on them: SQLite 3.40 answers `IS NOT NULL` in RETURNING wrongly.
    returning=(
        "is_hasty",
        "approved_at",
        "denied_at",
        "expires_at <= {now} AS is_over",
    ),
)

_IS_OPEN = "digest = :decoupled AND approved_at IS NULL AND denied_at IS NULL AND expires_at > {now}"

# The yes and the code it is worth, by one statement: of two browsers one wins, and a sign-out or a refusal that came
# first wins over both. A request that named somebody is approved by nobody else.
APPROVE = Change(
    first=f"""
    UPDATE decoupled_request SET approved_at = {{now}}
    WHERE {_IS_OPEN} AND EXISTS (
        SELECT 1 FROM sso_session s
        WHERE s.id = :session_id AND s.ended_at IS NULL
            AND (decoupled_request.kind = 'device' OR decoupled_request.citizen_id = s.citizen_id)
    )
    """,  # noqa: S608
    then=(
        "UPDATE interaction SET finished_at = {now}, code_digest = :digest WHERE id = :interaction_id AND {if_first}",
        *ISSUE_CODE_AFTER_PAGES.then,
    ),
)

READ_STATE = Query(
    """
    SELECT approved_at IS NOT NULL AS is_approved, denied_at IS NOT NULL AS is_denied, expires_at, {now} AS now,
        EXISTS (SELECT 1 FROM interaction i WHERE i.id = :interaction_id AND i.finished_at IS NOT NULL) AS is_ours
    FROM decoupled_request WHERE digest = :decoupled
    """
)

READ_CODE = Query("SELECT used_at IS NOT NULL AS is_used FROM authorization_code WHERE digest = :digest")
