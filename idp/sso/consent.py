"""Consent and notice: what is shown before anything is sent, and the record of the answer."""

import math
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.agencies import models as agencies
from idp.agencies.clients import Client
from idp.agencies.metadata import Basis
from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import claims
from idp.citizens.claims import Profile
from idp.citizens.models import insert
from idp.core import clock
from idp.core.database import db
from idp.core.i18n import LANGUAGES, translate
from idp.core.keyring import Keyring
from idp.core.scopes import CLAIMS_BY_SCOPE, OFFLINE_ACCESS, PERSON_CLAIMS
from idp.notify import notices
from idp.notify.notices import Notice
from idp.sso import agreements
from idp.sso.agreements import Act
from idp.sso.interaction import Visit, mark_agreed
from idp.sso.models import Consent
from idp.sso.request import AuthorizationRequest
from idp.sso.situation import Standing


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the page: a claim, the very values that will be sent, why, and whether it is new."""

    label: str
    values: tuple[str, ...]
    purpose: str
    new: bool


def items(
    request: AuthorizationRequest,
    client: Client,
    profile: Profile,
    standing: Standing,
    *,
    lasting: timedelta,
    language: str,
) -> tuple[Item, ...]:
    """Return what would be sent, in the order of PERSON_CLAIMS; `lasting` is how long offline access does.

    What the citizen does not have comes after that, in one line by name: agreeing covers it, so it must have been
    shown. Last, that the agency may look when the citizen has long signed out (OpenID Connect Core 1.0, 11).
    """
    agreed = standing.agreed if standing.agreed is not None and standing.agreed_basis == client.basis else frozenset()
    released = claims.release(profile, request.disclosed)
    held = tuple(
        Item(
            label=translate(language, f"claim.{name}"),
            values=tuple(
                translate(language, shown.text) if shown.is_message else shown.text
                for shown in claims.display(name, released[name], language=language)
            ),
            purpose=_purpose(name, request, client, language),
            new=name not in agreed,
        )
        for name in PERSON_CLAIMS
        if name in released
    )
    missing = [name for name in PERSON_CLAIMS if name in request.disclosed and name not in released]
    after = [_missing(missing, agreed, language)] if missing else []
    if OFFLINE_ACCESS in request.disclosed:
        after.append(_lasting(lasting, agreed, language))
    return (*held, *after)


def _lasting(lasting: timedelta, agreed: frozenset[str], language: str) -> Item:
    return Item(
        label=translate(language, "disclosure.lasting"),
        values=(translate(language, "disclosure.lasting-text", days=math.ceil(lasting / timedelta(days=1))),),
        purpose="",
        new=OFFLINE_ACCESS not in agreed,
    )


def _missing(names: list[str], agreed: frozenset[str], language: str) -> Item:
    return Item(
        label=translate(language, "disclosure.missing"),
        values=tuple(translate(language, f"claim.{name}") for name in names),
        purpose="",
        new=not agreed.issuperset(names),
    )


def _purpose(name: str, request: AuthorizationRequest, client: Client, language: str) -> str:
    return client.purpose(_scope(name, request, client), language) or ""


def _scope(name: str, request: AuthorizationRequest, client: Client) -> str:
    """Return the scope whose purpose the claim is asked for; of several, the narrowest."""
    if name == OFFLINE_ACCESS:
        return OFFLINE_ACCESS
    scopes = [scope for scope in client.scopes if name in CLAIMS_BY_SCOPE[scope]]
    asked = [scope for scope in scopes if scope in request.scopes] or scopes
    return min(asked, key=lambda scope: len(CLAIMS_BY_SCOPE[scope]))


def agree(visited: Visit, client: Client, standing: Standing, *, language: str, keyring: Keyring) -> None:
    """Record that the citizen agreed to, or was told of, everything the request asks, in `language`; commit.

    What was agreed before on the same basis stays agreed. Events: consent given, or notice shown. The citizen is owed
    a notice when they never came to this agency before.
    """
    asked = visited.request.disclosed
    is_consent = client.basis is Basis.CONSENT
    is_more = standing.agreed is not None and standing.agreed_basis == client.basis
    agreements.keep(
        standing.citizen_id,
        client,
        scopes={name: _scope(name, visited.request, client) for name in sorted(asked)},
        act=Act.AGREED if is_consent else Act.TOLD,
        language=language,
        starts_anew=not is_more,
    )
    if standing.agreed is not None and is_more:
        asked |= standing.agreed
    now = clock.now()
    values = {"basis": client.basis.value, "claims": " ".join(sorted(asked)), "updated_at": now}
    first = db.session.execute(
        insert(Consent)
        .values(citizen_id=standing.citizen_id, client_id=client.id, created_at=now, **values)
        .on_conflict_do_update(index_elements=["citizen_id", "client_id"], set_=values)
        .returning(Consent.created_at)
    ).scalar_one()
    # Of two clicks one made the row, and only its time is in there.
    if first == now and _is_first_of_agency(client, standing.citizen_id):
        names = {language: client.name(language) for language in LANGUAGES}
        session = standing.session_id.hex
        notices.owe(standing.citizen_id, Notice.NEW_AGENCY, keyring=keyring, agency=names, session=session)
    mark_agreed(visited, standing.session_id)
    record(
        db.session,
        Event.CONSENT_GIVEN if is_consent else Event.NOTICE_SHOWN,
        citizen_id=standing.citizen_id,
        client_id=client.id,
        session_id=standing.session_id,
        detail={"claims": len(visited.request.disclosed)},
    )
    db.session.commit()


def _is_first_of_agency(client: Client, citizen_id: UUID) -> bool:
    """Tell whether no other client of the same agency has a consent or notice of this citizen on record."""
    asked = sa.select(agencies.Client.agency_id).where(agencies.Client.id == client.id).scalar_subquery()
    before = (
        sa.select(Consent.client_id)
        .join(agencies.Client, agencies.Client.id == Consent.client_id)
        .where(Consent.citizen_id == citizen_id, Consent.client_id != client.id)
        .where(agencies.Client.agency_id == asked)
    )
    return db.session.scalar(before.limit(1)) is None
