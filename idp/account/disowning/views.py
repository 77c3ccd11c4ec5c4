"""The pages for "that was not me".

    /account/history/SESSION   from a line of the history, signed in
    /not-me/TOKEN              from the link in a notice, signed in or not
    /not-me/TOKEN/lock         the lock, offered after that

Opening the link changes nothing: scanners of mail open every one. The page says what will happen, and the form on it
does it. What is shown is what the mail said, never who the citizen is.
"""

import hmac
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, Response, request

from idp.account.disowning import act
from idp.account.lock.views import REASON as LOCKED
from idp.account.sessions.views import tell
from idp.account.views import Here, own_page, page
from idp.account.words import moment
from idp.citizens import counter_acts, locking
from idp.core import errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.keyring import Keyring, Purpose
from idp.core.web import form_parameters, render, see_other, translate
from idp.notify import refusals
from idp.notify.refusals import Refusable
from idp.oidc import endings
from idp.sso import disowned
from idp.sso.services import Services, services

blueprint = Blueprint("disowning", __name__)
_HISTORY = "/account/history"
# The notice of the opening itself is written a moment beside it, by another clock.
_SAME_ACT = timedelta(minutes=10)


@blueprint.route(f"{_HISTORY}/<session>", methods=["GET", "POST"])
@own_page
def from_history(here: Here, session: str) -> Response:
    """Say what reporting a sign-in does, do it, or give the reference of what was reported."""
    key = _key(session)
    found = act.sign_in(here.standing.citizen_id, key) if key is not None else None
    if found is None or found.session_id == here.standing.session_id:
        return see_other(_HISTORY)
    if request.method == "POST":
        tell(act.disown_sign_in(here.standing.citizen_id, found.session_id), provider=here.services)
        return see_other(request.path)
    report = disowned.of(found.session_id)
    db.session.rollback()
    return page(
        here,
        "account/disown.html",
        at=moment(found.at),
        device=found.device,
        network=found.network,
        reference=report.reference if report is not None else "",
        reported_at=moment(report.at) if report is not None else "",
    )


def _key(text: str) -> UUID | None:
    try:
        return UUID(hex=text)
    except ValueError:
        return None


# --- from a mail --------------------------------------------------------------------------------------------------


@blueprint.route(f"{refusals.PATH}/<token>", methods=["GET", "POST"])
def from_notice(token: str) -> Response:
    """Say what the report does, do it, or say that it was done."""
    provider = services()
    notice = _notice(token, provider)
    if request.method == "POST":
        _check_form_token(token, provider)
        tell(act.disown_notice(notice), provider=provider)
        return see_other(request.path)
    csrf = _form_token(token, provider.keyring)
    at = moment(notice.at)
    what = translate(f"notice.{notice.kind}.what", service=provider.settings.service_name)
    report = act.report_of(notice)
    if report is None:
        is_sign_in = notice.session_id is not None
        return render("account/not_me.html", action=request.path, csrf=csrf, what=what, at=at, is_sign_in=is_sign_in)
    is_locked = locking.is_locked(notice.citizen_id)
    may_lock = not is_locked and _may_lock(notice)
    db.session.rollback()
    return render(
        "account/not_me_done.html",
        action=f"{request.path}/lock",
        csrf=csrf,
        what=what,
        at=at,
        reference=report.reference,
        is_locked=is_locked,
        may_lock=may_lock,
    )


@blueprint.route(f"{refusals.PATH}/<token>/lock", methods=["GET", "POST"])
def lock(token: str) -> Response:
    """Lock the account of a notice that was disowned."""
    provider = services()
    notice = _notice(token, provider)
    if request.method == "POST":
        _check_form_token(token, provider)
        if act.report_of(notice) is not None and _may_lock(notice):
            locking.lock(notice.citizen_id, keyring=provider.keyring)
            ended = endings.end_everything(notice.citizen_id, reason=LOCKED)
            db.session.commit()
            tell(ended, provider=provider)
    return see_other(request.path.removesuffix("/lock"))


def _notice(token: str, provider: Services) -> Refusable:
    notice = refusals.find(token, keyring=provider.keyring)
    if notice is None:
        raise Failure(errors.REPORT_LINK_OVER)
    if notice.language is not None:
        web.prefer_languages((notice.language,))
    return notice


def _may_lock(notice: Refusable) -> bool:
    """Tell whether the link still locks: an old one locks no account that a counter has opened since.

    Somebody else may have found it in the mail, and would send its owner to the counter again and again.
    """
    return not counter_acts.was_opened(notice.citizen_id, since=notice.at + _SAME_ACT)


def _form_token(token: str, keyring: Keyring) -> str:
    """Return the token of the forms behind a link: whoever opened the page has it, a forged form has not."""
    return keyring.tag(Purpose.FORM, f"not-me|{token}".encode())


def _check_form_token(token: str, provider: Services) -> None:
    given = form_parameters().get("csrf", "").encode()
    if web.is_from_elsewhere() or not hmac.compare_digest(given, _form_token(token, provider.keyring).encode()):
        raise Failure(errors.FORM_EXPIRED)
