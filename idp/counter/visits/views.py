"""The officer's pages for the person in front of the desk.

/counter/card        what is on the card, that the face was compared, and the code that the citizen's page shows
/counter/visit/ID    who this is; what the citizen may do now on their own page
/counter/second      the code again, for the second officer that new keys for a bound account need
"""

from uuid import UUID

from flask import Blueprint, Response, request

from idp.citizens import binding, pairing
from idp.citizens.binding import CardOutcome
from idp.citizens.counter_acts import Act
from idp.citizens.pairing import Paired
from idp.core import errors, user_codes, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.web import form_parameters, see_other
from idp.counter.forms import DOCUMENTS, CardForm, document_of, look_problems
from idp.counter.views import Desk, officer_page, page
from idp.sso.forms import FieldError, field_error

blueprint = Blueprint("counter_visits", __name__)
# Codes typed by one officer, right or wrong, counted before they are judged: 34 bits are short.
_TRIES, _WINDOW = 30, 600


@blueprint.route("/counter/card", methods=["GET", "POST"])
@officer_page
def card(desk: Desk) -> Response:
    """Ask for card and code, or have the register judge the one and find the other."""
    if request.method != "POST":
        return _card_page(desk, CardForm(), [])
    form = CardForm.read(form_parameters())
    problems = form.problems()
    paired, code_problem = _paired(desk, form.code)
    if code_problem is not None or paired is None:
        problems.append(code_problem or field_error("code", "counter.error.code"))
    if problems or paired is None:
        return _card_page(desk, form, problems, status=400)
    provider, document = desk.services, document_of(form_parameters())
    assert document is not None
    checked = binding.check_card(
        form.number,
        form.full_name,
        form.birth,
        officer=desk.officer,
        settings=provider.settings,
        keyring=provider.keyring,
        registry=provider.registry,
    )
    if checked.outcome is not CardOutcome.CONFIRMED or checked.identity is None:
        field = "number" if checked.outcome is CardOutcome.UNREADABLE else ""
        return _card_page(desk, form, [field_error(field, f"counter.card.{checked.outcome}")], status=400)
    is_ours = pairing.see(
        paired.id,
        officer=desk.officer,
        identity=checked.identity,
        citizen_id=checked.citizen_id,
        document=document,
        keyring=provider.keyring,
    )
    db.session.commit()
    if not is_ours:
        return _card_page(desk, form, [field_error("code", "counter.error.code-taken")], status=400)
    return see_other(f"/counter/visit/{paired.id}")


def _paired(desk: Desk, typed: str) -> tuple[Paired | None, FieldError | None]:
    """Return the living pairing of a code as typed, or what is wrong with the code."""
    if not typed:
        return None, field_error("code", "counter.error.code-missing")
    if desk.is_throttled("code", amount=_TRIES, seconds=_WINDOW):
        return None, field_error("code", "counter.error.throttled")
    code = user_codes.read(typed)
    found = None if code is None else pairing.by_code(code, keyring=desk.services.keyring)
    db.session.rollback()
    return found, None


def _card_page(desk: Desk, form: CardForm, problems: list[FieldError], *, status: int = 200) -> Response:
    return page(desk, "counter/card.html", status=status, form=form, errors=problems, documents=DOCUMENTS)


@blueprint.route("/counter/visit/<uuid:pairing_id>", methods=["GET", "POST"])
@officer_page
def visit(desk: Desk, pairing_id: UUID) -> Response:
    """Show who was seen and ask what they may do; for the second officer, ask for their own look."""
    paired = pairing.by_id(pairing_id, keyring=desk.services.keyring)
    mine = paired is not None and desk.officer.id in (paired.officer_id, paired.second_officer_id)
    if paired is None or not mine:
        db.session.rollback()
        raise Failure(errors.NOT_FOUND)
    if request.method != "POST":
        return _visit_page(desk, paired, [])
    if paired.officer_id == desk.officer.id:
        return _choose(desk, paired)
    return _confirm(desk, paired)


def _choose(desk: Desk, paired: Paired) -> Response:
    given = form_parameters().get("act", "")
    possible = binding.possible_acts(paired.citizen_id)
    if given not in {act.value for act in possible}:
        return _visit_page(desk, paired, [field_error("act", "counter.error.act")], status=400)
    provider, act = desk.services, Act(given)
    is_second_needed = binding.needs_second(paired.citizen_id, act, settings=provider.settings)
    is_chosen = pairing.choose(
        paired.id,
        act,
        officer=desk.officer,
        needs_second=is_second_needed,
        lifetime=provider.settings.counter_pairing,
    )
    if is_chosen and act is Act.REPLACE:
        binding.announce_replacement(paired, keyring=provider.keyring)
    if is_chosen and act is Act.UNLOCK and pairing.use(paired.id, act):
        binding.unlock(paired, keyring=provider.keyring)
    db.session.commit()
    return see_other(request.path)


def _confirm(desk: Desk, paired: Paired) -> Response:
    posted = form_parameters()
    problems = look_problems(posted.get("document", ""), is_face_compared=posted.get("face") == "yes")
    if problems:
        return _visit_page(desk, paired, problems, status=400)
    pairing.confirm(paired.id, officer=desk.officer, lifetime=desk.services.settings.counter_pairing)
    db.session.commit()
    return see_other(request.path)


def _visit_page(desk: Desk, paired: Paired, problems: list[FieldError], *, status: int = 200) -> Response:
    identity = paired.identity
    assert identity is not None
    acts = binding.possible_acts(paired.citizen_id) if paired.act is None else ()
    db.session.rollback()
    if paired.is_used:
        state = "used"
    elif paired.is_allowed:
        state = "allowed"
    elif paired.act is None:
        state = "choose" if acts else "nothing"
    else:
        state = "waits" if paired.officer_id == desk.officer.id else "confirm"
    return page(
        desk,
        "counter/visit.html",
        status=status,
        errors=problems,
        full_name=identity.full_name,
        number_end=identity.number[-3:],
        birth=identity.birth.display(web.current_language()),
        reference=paired.reference,
        has_account=paired.citizen_id is not None,
        state=state,
        act=paired.act,
        acts=acts,
        documents=DOCUMENTS,
    )


@blueprint.route("/counter/second", methods=["GET", "POST"])
@officer_page
def second(desk: Desk) -> Response:
    """Ask the second officer for the code, and lead to the same visit."""
    if request.method != "POST":
        return page(desk, "counter/second.html", errors=[])
    paired, problem = _paired(desk, form_parameters().get("code", "").strip())
    is_taken = paired is not None and pairing.take_second(paired.id, officer=desk.officer)
    db.session.commit()
    if problem is not None or paired is None or not is_taken:
        shown = problem or field_error("code", "counter.error.code-second")
        return page(desk, "counter/second.html", status=400, errors=[shown])
    return see_other(f"/counter/visit/{paired.id}")
