"""What came of a sign-out: each service the session reached, and whether it has confirmed.

The page is found by a sealed handle in its address, good for a few minutes: neither a person nor a service can be read
from it, and nothing is stored for it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.clients import Client
from idp.core import clock
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.keyring import Place, SealBroken
from idp.oidc.logout import frontchannel, request
from idp.oidc.logout.request import LogoutRequest
from idp.sso import session
from idp.sso.models import DeliveryState, LogoutDelivery
from idp.sso.services import Services

# Short: on a shared device the next person may go back to the page.
_SECONDS = 300
_SEALED = Place("logout", "outcome", "")


class Told(StrEnum):
    """What is known of one service. The words for people are `signed-out.state.VALUE`."""

    CONFIRMED = "confirmed"
    WAITING = "waiting"
    UNCONFIRMED = "unconfirmed"
    BROWSER = "browser"
    UNTOLD = "untold"


_TOLD = {
    DeliveryState.PENDING: Told.WAITING,
    DeliveryState.CONFIRMED: Told.CONFIRMED,
    DeliveryState.REFUSED: Told.UNCONFIRMED,
    DeliveryState.GIVEN_UP: Told.UNCONFIRMED,
}


@dataclass(frozen=True, slots=True)
class Service:
    """One service the session reached. `frame` is what the browser loads to sign out there, where that is the way."""

    client: Client
    told: Told
    frame: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """All services of an ended session, in the order they were reached."""

    services: tuple[Service, ...] = ()

    def number(self, *states: Told) -> int:
        """Return how many services are in one of `states`."""
        return sum(service.told in states for service in self.services)

    @property
    def has_open_ends(self) -> bool:
        """Tell whether a service that can be told has not confirmed yet, or never will."""
        return self.number(Told.WAITING, Told.UNCONFIRMED) > 0

    @property
    def has_frames(self) -> bool:
        """Tell whether the browser must load something."""
        return any(service.frame is not None for service in self.services)


def clients_reached(session_id: UUID, *, provider: Services) -> list[Client]:
    """Return the clients the session signed in to, in order of the first time."""
    rows = session.clients_reached(session_id)
    db.session.rollback()
    clients = (provider.clients.by_row_id(row_id) for row_id in rows)
    return [client for client in clients if client is not None]


def outcome_of(session_id: UUID, clients: Sequence[Client], *, provider: Services) -> Outcome:
    """Return what is known now of each of `clients` of an ended session."""
    owed = sa.select(LogoutDelivery.client_id, LogoutDelivery.state).where(LogoutDelivery.session_id == session_id)
    states = {row.client_id: _TOLD[DeliveryState(row.state)] for row in db.session.execute(owed)}
    db.session.rollback()
    services = []
    for client in clients:
        told = states.get(client.id)
        frame = frontchannel.frame_address(session_id, client, provider=provider)
        if told is Told.CONFIRMED:
            frame = None
        services.append(Service(client, told or (Told.BROWSER if frame else Told.UNTOLD), frame))
    return Outcome(tuple(services))


def seal(session_id: UUID, checked: LogoutRequest, *, provider: Services) -> str:
    """Return the handle of the page about a session that has just ended."""
    until = clock.epoch(clock.now()) + _SECONDS
    document = [session_id.hex, until, request.seal(checked, provider.keyring)]
    return provider.keyring.seal(json.dumps(document), _SEALED)


def unseal(handle: str, *, provider: Services) -> tuple[UUID, LogoutRequest] | None:
    """Return the session and the request behind a handle; None when it is over or not ours."""
    try:
        session_id, until, sealed = json.loads(provider.keyring.unseal(handle, _SEALED))
        checked = request.unseal(sealed, provider=provider)
    except (SealBroken, Failure):
        return None
    return (UUID(session_id), checked) if until > clock.epoch(clock.now()) else None
