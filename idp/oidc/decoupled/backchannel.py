"""The backchannel authentication endpoint (CIBA Core 1.0, 7), poll mode.

A portal must not learn from us who has an account. Whomever a hint names, or nobody, the same statements run and the
answer is the same; a request for nobody is stored, shown to nobody, and expires. So does one for a citizen who has
enough requests before them already: a refusal would tell that the hint named somebody.
"""

import re
import unicodedata
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.clients import Client
from idp.agencies.metadata import GrantType
from idp.citizens import numbers
from idp.citizens.lookup import find_number
from idp.citizens.models import Citizen, CitizenState, PairwiseSubject
from idp.citizens.numbers import NumberUnreadable
from idp.core import errors
from idp.core.database import db
from idp.core.errors import ProtocolFailure
from idp.core.parameters import Parameters
from idp.oidc import checks, request_objects
from idp.oidc.caller import Caller
from idp.oidc.checks import Draft
from idp.oidc.decoupled import asking, pending
from idp.oidc.decoupled.models import Kind
from idp.sso.services import Services

LIFETIME = 300
SHORTEST_LIFETIME = 30
LONGEST_LIFETIME = 600
LONGEST_MESSAGE = 20
MOST_OPEN_FOR_ONE_CLIENT = 3
MOST_OPEN = 5
_PARAMETERS = ("scope", "acr_values", "claims", "login_hint", "id_token_hint", "resource")
# Never beside a signed request, where they would be unsigned (CIBA Core 1.0, 7.1.1).
_OWN = frozenset({*_PARAMETERS, "binding_message", "requested_expiry"})
_EXPIRY = re.compile(r"[1-9][0-9]{0,8}")
_NOBODY = UUID(int=0)


def answer(form: Parameters, *, caller: Caller, provider: Services) -> dict[str, Any]:
    """Return the authentication request acknowledgement (CIBA Core 1.0, 7.3). Raises ProtocolFailure."""
    client = asking.authenticate(form, GrantType.CIBA, caller=caller, provider=provider)
    is_signed = "request" in form
    if is_signed:
        if not _OWN.isdisjoint(form):
            raise ProtocolFailure(errors.REQUEST_OBJECT_INVALID)
        form = request_objects.read(form["request"], form, client, is_backchannel=True, provider=provider)
    _refuse_unsupported(form)
    draft = asking.draft(form, client, _PARAMETERS, is_signed=is_signed, provider=provider)
    message = _message(form.get("binding_message", ""))
    lifetime = _lifetime(form.get("requested_expiry"))
    citizen_id = _find(_hint(form, draft), client, provider)
    # Whom it is bound to is settled when that citizen opens it: computing their `sub` here could write a record.
    request = replace(checks.request_of(draft), login_hint=None, hinted_sub=None)
    auth_req_id, _ = pending.store(
        Kind.BACKCHANNEL,
        client,
        request,
        lifetime=lifetime,
        shown=message,
        citizen_id=citizen_id,
        keyring=provider.keyring,
    )
    return {"auth_req_id": auth_req_id, "expires_in": lifetime, "interval": pending.INTERVAL}


def _refuse_unsupported(form: Parameters) -> None:
    for name, entry in (
        ("login_hint_token", errors.HINT_TOKEN_UNSUPPORTED),
        ("user_code", errors.USER_CODE_UNSUPPORTED),
        ("client_notification_token", errors.NOTIFICATION_UNSUPPORTED),
    ):
        if name in form:
            raise ProtocolFailure(entry)


def _message(text: str) -> str:
    """Return the binding message, which is required here: without one a citizen has nothing to compare.

    Signs are those of a short code or word: a message of an attacker's choice stands on a page of ours.
    """
    message = unicodedata.normalize("NFC", text)
    if not 0 < len(message) <= LONGEST_MESSAGE or message != message.strip() or not all(map(_is_plain, message)):
        raise ProtocolFailure(errors.BINDING_MESSAGE_INVALID)
    return message


def _is_plain(sign: str) -> bool:
    if sign.isascii():
        return sign.isalnum() or sign in " -.:/#"
    return sign.isalpha() and unicodedata.name(sign, "").startswith("LATIN ")


def _lifetime(requested: str | None) -> int:
    if requested is None:
        return LIFETIME
    if not _EXPIRY.fullmatch(requested):
        raise ProtocolFailure(errors.EXPIRY_INVALID)
    return min(max(int(requested), SHORTEST_LIFETIME), LONGEST_LIFETIME)


def _hint(form: Parameters, draft: Draft) -> str:
    """Return the one hint there must be: a number, a `sub`, or the `sub` of an ID token of ours (CIBA, 7.1)."""
    demands_sub = "sub" in draft.requested_claims.get("id_token", {}) and draft.hinted_sub is not None
    if ("login_hint" in form) == ("id_token_hint" in form) or (demands_sub and "login_hint" in form):
        raise ProtocolFailure(errors.HINTS_NOT_ONE)
    return form.get("login_hint") or draft.hinted_sub or ""


def _find(hint: str, client: Client, provider: Services) -> UUID | None:
    """Return the citizen a request is put before, or None; holds the citizen's row until the caller commits.

    The row is held so that requests that come at the same moment are counted one after the other.
    """
    of_subject = sa.select(PairwiseSubject.citizen_id).where(
        PairwiseSubject.sector == client.sector, PairwiseSubject.sub == hint
    )
    by_subject = db.session.scalar(of_subject)
    scheme = numbers.scheme(provider.settings.number_scheme, test_numbers=provider.settings.is_sandbox)
    try:
        number = scheme.canonical(hint)
    except NumberUnreadable:
        number = ""
    by_number = find_number(scheme.name, number, keyring=provider.keyring)
    found = by_subject or (by_number.citizen_id if by_number is not None else _NOBODY)
    state = db.session.scalar(sa.select(Citizen.state).where(Citizen.id == found).with_for_update(key_share=True))
    waiting = pending.count_open(found)
    if state != CitizenState.ACTIVE or waiting.get(client.id, 0) >= MOST_OPEN_FOR_ONE_CLIENT:
        return None
    return found if sum(waiting.values()) < MOST_OPEN else None
