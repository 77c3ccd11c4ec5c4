"""The officer's pages about mandates.

/counter/mandate        make one, with the citizen present and a code of theirs
/counter/mandate/end    end one, by the reference that stands on the citizen's notice or page
"""

from datetime import timedelta

import sqlalchemy as sa
from flask import Blueprint, Response, request

from idp.citizens import mandates
from idp.citizens.credentials import recovery
from idp.citizens.mandates import LONGEST_PURPOSE, Mandate
from idp.core import web
from idp.core.database import database_now, db
from idp.core.web import form_parameters, see_other
from idp.counter.assist.views import citizen_of, is_own_code
from idp.counter.forms import DOCUMENTS, look_problems
from idp.counter.views import HOME, Desk, officer_page, page
from idp.sso import assisted
from idp.sso.forms import LONGEST_NUMBER, FieldError, field_error

blueprint = Blueprint("counter_mandates", __name__)
_TRIES, _WINDOW = 40, 3_600
_DAY = 86_400
# Days to choose from; the setting may allow fewer.
_LENGTHS = (30, 182, 365)


def _lengths(desk: Desk) -> tuple[int, ...]:
    longest = desk.services.settings.mandate_longest
    return tuple(days for days in _LENGTHS if days * _DAY <= longest) or (max(1, longest // _DAY),)


@blueprint.route("/counter/mandate", methods=["GET", "POST"])
@officer_page
def make(desk: Desk) -> Response:
    """Ask who, for which services, until when and what for; the citizen types a code of their own."""
    if request.method != "POST":
        return _page(desk, {}, [])
    posted = dict(form_parameters())
    services = [client_id for client_id, _ in _services(desk) if posted.get(f"service-{client_id}") == "yes"]
    is_any = posted.get("any") == "yes"
    problems = _problems(desk, posted, has_services=bool(services) or is_any)
    if problems:
        return _page(desk, posted, problems, status=400)
    provider = desk.services
    citizen_id = citizen_of(posted["number"], settings=provider.settings, keyring=provider.keyring)
    db.session.rollback()
    if citizen_id is None or citizen_id == desk.officer.citizen_id:
        return _page(desk, posted, [field_error("number", "counter.mandate.nobody")], status=400)
    if not is_own_code(citizen_id, posted["code"].strip(), keyring=provider.keyring):
        return _page(desk, posted, [field_error("code", "counter.error.own-code")], status=400)
    mandates.make(
        citizen_id,
        officer=desk.officer,
        services=() if is_any else services,
        valid_to=database_now() + timedelta(days=int(posted["days"])),
        purpose=posted["purpose"].strip(),
        document=posted["document"],
        keyring=provider.keyring,
    )
    db.session.commit()
    return see_other(f"{HOME}?done=mandate-made")


def _problems(desk: Desk, posted: dict[str, str], *, has_services: bool) -> list[FieldError]:
    found = []
    if not 0 < len(posted.get("number", "").strip()) <= LONGEST_NUMBER:
        found.append(field_error("number", "counter.error.number"))
    found += look_problems(posted.get("document", ""), is_face_compared=posted.get("face") == "yes")
    if not has_services:
        found.append(field_error("any", "counter.mandate.error.services"))
    if posted.get("days") not in {str(days) for days in _lengths(desk)}:
        found.append(field_error("days", "counter.mandate.error.days"))
    if not 0 < len(posted.get("purpose", "").strip()) <= LONGEST_PURPOSE:
        found.append(field_error("purpose", "counter.mandate.error.purpose"))
    if not 0 < len(posted.get("code", "").strip()) <= recovery.LONGEST_TYPED:
        found.append(field_error("code", "counter.error.own-code-missing"))
    if not found and desk.is_throttled("mandate", amount=_TRIES, seconds=_WINDOW):
        found.append(field_error("", "counter.error.throttled"))
    return found


def _services(desk: Desk) -> list[tuple[str, str]]:
    """Return client_id and name of each service of the counter that is there today."""
    language = web.current_language()
    found = [desk.services.clients.find(client_id) for client_id in desk.officer.services]
    return [(each.client_id, each.name(language)) for each in found if each is not None and each.is_active]


def _page(desk: Desk, posted: dict[str, str], problems: list[FieldError], *, status: int = 200) -> Response:
    return page(
        desk,
        "counter/mandate.html",
        status=status,
        errors=problems,
        form={name: value for name, value in posted.items() if name not in ("code", "csrf")},
        services=_services(desk),
        lengths=_lengths(desk),
        documents=DOCUMENTS,
    )


@blueprint.route("/counter/mandate/end", methods=["GET", "POST"])
@officer_page
def end(desk: Desk) -> Response:
    """Ask for number and reference, and end the mandate and every session under it."""
    if request.method != "POST":
        return page(desk, "counter/mandate_end.html", errors=[], number="")
    posted, provider = form_parameters(), desk.services
    number, reference = posted.get("number", "").strip()[:LONGEST_NUMBER], posted.get("reference", "").strip().upper()
    problem = field_error("reference", "counter.mandate.end.unknown")
    if desk.is_throttled("mandate end", amount=_TRIES, seconds=_WINDOW):
        problem = field_error("", "counter.error.throttled")
    else:
        citizen_id = citizen_of(number, settings=provider.settings, keyring=provider.keyring)
        wanted = sa.select(Mandate.id).where(
            Mandate.citizen_id == citizen_id, Mandate.reference == reference[:16], Mandate.ended_at.is_(None)
        )
        key = db.session.scalar(wanted) if citizen_id is not None else None
        if key is not None and citizen_id is not None:
            if mandates.end(key, citizen_id=citizen_id, officer=desk.officer, keyring=provider.keyring):
                assisted.end_under(key, citizen_id)
            db.session.commit()
            return see_other(f"{HOME}?done=mandate-ended")
    db.session.rollback()
    return page(desk, "counter/mandate_end.html", status=400, errors=[problem], number=number)
