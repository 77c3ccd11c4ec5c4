"""The first pages of an enrolment: who it is, a contact and its proof, and the two ends without an account.

Every page asks the draft which steps there are; any other address leads to the one that is next. Every post ends with a
redirect to `/signin/HANDLE/enrol`, which leads there too.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import wraps

from flask import Blueprint, Response, request

from idp.citizens import contact_forms, contact_proofs
from idp.citizens.applicants import account, proofing, waiting
from idp.citizens.applicants import draft as drafts
from idp.citizens.applicants.draft import Draft, Step
from idp.citizens.assurance import Proofing
from idp.citizens.contact_forms import ContactRefused
from idp.core import clock, web
from idp.core.database import db
from idp.core.i18n import LANGUAGES
from idp.core.web import see_other
from idp.notify.channels import Channel
from idp.sso import interaction, session, views
from idp.sso.enrolment.forms import LONGEST_TYPED, PersonForm
from idp.sso.forms import FieldError, code_problems, field_error
from idp.sso.steps import Step as SignInStep
from idp.sso.views import Arrival, page, retry, step_page

blueprint = Blueprint("enrolment", __name__)

View = Callable[[Arrival, Draft], Response]


def path_of(arrival: Arrival, step: Step | None = None) -> str:
    """Return the address of a step, or the one that leads to whichever is next."""
    return f"{arrival.path}/enrol" if step is None else f"{arrival.path}/enrol/{step.value}"


def enrolment_page(step: Step) -> Callable[[View], Callable[[str], Response]]:
    """Guard a page of an enrolment as `step_page` does those of a sign-in, and by the draft besides."""

    def guard(view: View) -> Callable[[str], Response]:
        @step_page(SignInStep.LOGIN)
        @wraps(view)
        def guarded(arrival: Arrival) -> Response:
            draft = drafts.read(arrival.visit.id, keyring=arrival.services.keyring)
            if draft.spent_at is not None:
                return after_the_end(arrival)
            if step not in draft.steps:
                return see_other(path_of(arrival, draft.next_step))
            return view(arrival, draft)

        return guarded

    return guard


def after_the_end(arrival: Arrival) -> Response:
    """Answer where the account has been made: to the other half of a double click with the session of the first."""
    opened = None
    keyring = arrival.services.keyring
    if request.method == "POST" and (joined := interaction.lock(arrival.visit.id)) is not None:
        opened = session.opened_here(joined, arrival.visit.flow_secret, keyring=keyring)
    response = see_other(arrival.path)
    if opened is not None:
        web.set_cookie(response, views.SESSION_COOKIE, opened.secret, arrival.services.settings)
    return response


def kept(arrival: Arrival, draft: Draft) -> Response:
    """Store a draft that has moved, give its pages more time, commit, and lead on.

    Of two posts at once the slower one changes nothing, and is led to what the faster one did.
    """
    settings = arrival.services.settings
    if drafts.keep(draft, keyring=arrival.services.keyring):
        seconds = interaction.prolong(arrival.visit.id, settings=settings)
        db.session.commit()
    else:
        db.session.rollback()
        return see_other(path_of(arrival))
    response = see_other(path_of(arrival))
    name = interaction.cookie_name(arrival.visit.handle)
    web.set_cookie(response, name, arrival.visit.flow_secret, settings, max_age=seconds)
    return response


@blueprint.get("/signin/<handle>/enrol")
@enrolment_page(Step.PERSON)
def next_step(arrival: Arrival, draft: Draft) -> Response:
    """Lead to the step that is next."""
    return see_other(path_of(arrival, draft.next_step))


# --- who it is --------------------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/enrol/person", methods=["GET", "POST"])
@enrolment_page(Step.PERSON)
def person(arrival: Arrival, draft: Draft) -> Response:
    """Ask for number, name and birth date, or ask the register about them."""
    settings = arrival.services.settings
    if request.method != "POST":
        form = PersonForm.of(draft.declared, number=arrival.visit.request.login_hint or "")
        return _person_page(arrival, form, [], look_again=draft.was_warned and draft.identity is None)
    form = PersonForm.read(web.form_parameters())
    today = clock.now().date()
    declared, problems = form.declared(settings=settings, today=today)
    if declared is None:
        return _person_page(arrival, form, problems, status=400)
    is_same = declared == draft.declared
    if is_same and draft.is_matched:
        return see_other(path_of(arrival))
    alone = proofing.proofing_of(declared, today=today, settings=settings)
    is_doubtful = alone < Proofing.CONSISTENT or declared.birth.day is None
    if is_doubtful and not (is_same and draft.was_warned):
        return kept(arrival, draft.with_person(declared, None, was_warned=True))
    wait = proofing.wait_for(declared, address=web.remote_address(), limiter=arrival.services.limiter)
    if wait is not None:
        problem = field_error("", "enrol.person.error.throttled", minutes=max(1, -(-wait // 60)))
        return retry(_person_page(arrival, form, [problem], status=429), wait)
    identity = proofing.ask(
        declared,
        alone,
        enrolment_id=draft.id,
        settings=settings,
        registry=arrival.services.registry,
        keyring=arrival.services.keyring,
    )
    # The question is on record, whatever becomes of the draft.
    db.session.commit()
    if identity is None:
        return _person_page(arrival, form, [field_error("", "enrol.person.error.refused")], status=400, is_refused=True)
    return kept(arrival, draft.with_person(declared, identity, was_warned=is_doubtful))


def _person_page(
    arrival: Arrival,
    form: PersonForm,
    problems: list[FieldError],
    *,
    status: int = 200,
    look_again: bool = False,
    is_refused: bool = False,
) -> Response:
    return page(
        arrival,
        "enrolment/person.html",
        status=status,
        form=form,
        errors=problems,
        look_again=look_again,
        is_refused=is_refused,
        login_url=f"{arrival.path}/login",
    )


# --- a contact, and its proof -----------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/enrol/contact", methods=["GET", "POST"])
@enrolment_page(Step.CONTACT)
def contact(arrival: Arrival, draft: Draft) -> Response:
    """Ask for an e-mail address or a mobile number, or send a code there."""
    if request.method != "POST":
        shown = contact_forms.shown(Channel(draft.channel), draft.target) if draft.channel and draft.target else ""
        return _contact_page(arrival, draft, shown, [])
    typed = web.form_parameters().get("contact", "")
    channel = Channel.MAIL if "@" in typed else Channel.SMS
    target = _canonical(arrival, channel, typed)
    if target is None:
        is_mail = channel is Channel.MAIL or not arrival.services.settings.has_sms
        word = "missing" if not typed.strip() else "mail" if is_mail else "wrong"
        problem = field_error("contact", f"enrol.contact.error.{word}")
        return _contact_page(arrival, draft, typed[:LONGEST_TYPED], [problem], status=400)
    if (draft.channel, draft.target, draft.is_contact_proven) == (channel.value, target, True):
        return see_other(path_of(arrival))
    sent = _send_code(arrival, draft, channel, target)
    if isinstance(sent, contact_proofs.Throttled):
        problem = field_error("", "enrol.contact.error.throttled", minutes=max(1, -(-sent.retry_after // 60)))
        return retry(_contact_page(arrival, draft, typed, [problem], status=429), sent.retry_after)
    return kept(arrival, draft.with_contact(channel.value, target))


def _canonical(arrival: Arrival, channel: Channel, typed: str) -> str | None:
    """Return a contact as stored, None for what is none, or none that a message can be sent to here."""
    if channel is Channel.SMS and not arrival.services.settings.has_sms:
        return None
    try:
        return contact_forms.canonical(channel, typed)
    except ContactRefused:
        return None


def _send_code(
    arrival: Arrival, draft: Draft, channel: Channel, target: str
) -> contact_proofs.Begun | contact_proofs.Throttled:
    return contact_proofs.begin(
        draft.id,
        contact_proofs.Purpose.ENROL,
        channel,
        target,
        language=web.current_language(),
        address=web.remote_address(),
        keyring=arrival.services.keyring,
        agency={language: arrival.client.name(language) for language in LANGUAGES},
    )


def _contact_page(
    arrival: Arrival, draft: Draft, typed: str, problems: list[FieldError], *, status: int = 200
) -> Response:
    assert draft.identity is not None
    return page(
        arrival,
        "enrolment/contact.html",
        status=status,
        errors=problems,
        contact=typed,
        can_text=arrival.services.settings.has_sms,
        is_silent=not draft.is_matched,
        full_name=draft.identity.full_name,
        birth=draft.identity.birth.display(web.current_language()),
        is_respelled=draft.identity.is_respelled,
        is_renumbered=draft.identity.former_number is not None,
        back_url=path_of(arrival, Step.PERSON),
    )


@blueprint.route("/signin/<handle>/enrol/contact-code", methods=["GET", "POST"])
@enrolment_page(Step.PROOF)
def proof(arrival: Arrival, draft: Draft) -> Response:
    """Ask for the code that was sent, send another one, or check what was typed."""
    assert draft.channel is not None
    assert draft.target is not None
    if request.method != "POST":
        return _proof_page(arrival, draft, [])
    posted = web.form_parameters()
    if posted.get("decision") == "again":
        sent = _send_code(arrival, draft, Channel(draft.channel), draft.target)
        if isinstance(sent, contact_proofs.Throttled):
            return _proof_throttled(arrival, draft, sent.retry_after)
        return kept(arrival, draft)
    typed = posted.get("code", "")
    if problems := code_problems(typed):
        return _proof_page(arrival, draft, problems, status=400)
    keyring = arrival.services.keyring
    checked = contact_proofs.check(draft.id, contact_proofs.Purpose.ENROL, typed, keyring=keyring)
    if checked.outcome is contact_proofs.Outcome.THROTTLED:
        return _proof_throttled(arrival, draft, checked.retry_after or 1)
    if checked.outcome is not contact_proofs.Outcome.ACCEPTED:
        if drafts.read(arrival.visit.id, keyring=keyring).version != draft.version:
            # The other half of a double click has used the code.
            return see_other(path_of(arrival))
        word = "late" if checked.outcome is contact_proofs.Outcome.LATE else "refused"
        return _proof_page(arrival, draft, [field_error("code", f"enrol.proof.error.{word}")], status=400)
    assert checked.channel is not None
    assert checked.target is not None
    return kept(arrival, _proven(arrival, draft.with_contact(checked.channel.value, checked.target)))


def _proven(arrival: Arrival, draft: Draft) -> Draft:
    """Return the draft after the proof of its contact: only now is anybody told of an account, or made to wait."""
    keyring, settings = arrival.services.keyring, arrival.services.settings
    proven = replace(draft, is_contact_proven=True)
    assert proven.identity is not None
    if not proven.is_matched:
        reference, until = waiting.begin(proven, language=web.current_language(), settings=settings, keyring=keyring)
        return replace(proven, waiting_reference=reference, waiting_until=until.isoformat())
    return account.as_known(proven, keyring=keyring)


def _proof_throttled(arrival: Arrival, draft: Draft, wait: int) -> Response:
    problem = field_error("", "enrol.proof.error.throttled", minutes=max(1, -(-wait // 60)))
    return retry(_proof_page(arrival, draft, [problem], status=429), wait)


def _proof_page(arrival: Arrival, draft: Draft, problems: list[FieldError], *, status: int = 200) -> Response:
    assert draft.channel is not None
    assert draft.target is not None
    return page(
        arrival,
        "enrolment/contact_code.html",
        status=status,
        errors=problems,
        channel=draft.channel,
        contact=contact_forms.shown(Channel(draft.channel), draft.target),
        back_url=path_of(arrival, Step.CONTACT),
    )


# --- the two ends without an account ----------------------------------------------------------------------------


@blueprint.get("/signin/<handle>/enrol/known")
@enrolment_page(Step.KNOWN)
def known(arrival: Arrival, _draft: Draft) -> Response:
    """Say that this person has an account already."""
    return page(arrival, "enrolment/known.html", login_url=f"{arrival.path}/login")


@blueprint.get("/signin/<handle>/enrol/waiting")
@enrolment_page(Step.WAITING)
def waits(arrival: Arrival, draft: Draft) -> Response:
    """Say that the register is silent, and when and how it goes on."""
    assert draft.identity is not None
    assert draft.channel is not None
    assert draft.target is not None
    assert draft.waiting_until is not None
    return page(
        arrival,
        "enrolment/waiting.html",
        reference=draft.waiting_reference,
        until=clock.on_the_wall(datetime.fromisoformat(draft.waiting_until)),
        proofing=draft.identity.proofing.value,
        contact=contact_forms.shown(Channel(draft.channel), draft.target),
    )
