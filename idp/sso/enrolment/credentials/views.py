"""Password, second factor and recovery codes of somebody who makes an account; the last post makes it."""

from dataclasses import replace

from flask import Blueprint, Response, request

from idp.citizens.applicants import account
from idp.citizens.applicants import draft as drafts
from idp.citizens.applicants.account import NumberTaken, Spent
from idp.citizens.applicants.draft import Draft, SecondFactor, Step
from idp.citizens.credentials import hashing, passkey, recovery, rules, totp
from idp.citizens.credentials import password as passwords
from idp.citizens.credentials.passkey import PasskeyRefused
from idp.core import errors, web
from idp.core.levels import Method
from idp.core.web import see_other, translate
from idp.sso.enrolment.views import after_the_end, enrolment_page, kept, path_of
from idp.sso.forms import LONGEST_PASSWORD, FieldError, code_problems, field_error
from idp.sso.views import Arrival, page, passkey_error, retry, signed_in

blueprint = Blueprint("enrolment_credentials", __name__)
_BUSY_SECONDS = 5


# --- password ---------------------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/enrol/password", methods=["GET", "POST"])
@enrolment_page(Step.PASSWORD)
def password(arrival: Arrival, draft: Draft) -> Response:
    """Ask for a password, or judge and hash it."""
    if request.method != "POST":
        return _password_page(arrival, draft, [])
    posted = web.form_parameters()
    typed = posted.get("password", "")[: LONGEST_PASSWORD + 1]
    if not typed:
        return _password_page(arrival, draft, [field_error("password", "enrol.password.error.missing")], status=400)
    weakness = _judge(arrival, draft, typed, has_second_factor=False)
    needs_second_factor = weakness is not None
    if needs_second_factor:
        # Good enough beside a second factor, which is then no longer the applicant's choice.
        weakness = _judge(arrival, draft, typed, has_second_factor=True)
    if weakness is not None:
        problem = field_error("password", weakness.message, least=weakness.least, most=weakness.most)
        return _password_page(arrival, draft, [problem], status=400)
    if typed != posted.get("repeated", ""):
        return _password_page(arrival, draft, [field_error("repeated", "enrol.password.error.differs")], status=400)
    settings, keyring = arrival.services.settings, arrival.services.keyring
    try:
        record = passwords.make_hash(typed, owner=draft.id, settings=settings, keyring=keyring)
    except hashing.Busy:
        busy = _password_page(arrival, draft, [field_error("", "error.OP-002.message")], status=errors.BUSY.status)
        return retry(busy, _BUSY_SECONDS)
    return kept(arrival, draft.with_password(record, needs_second_factor=needs_second_factor))


def _judge(arrival: Arrival, draft: Draft, typed: str, *, has_second_factor: bool) -> rules.Weakness | None:
    assert draft.identity is not None
    about = rules.words_about(account.claims_of(draft), draft.identity.birth)
    return rules.judge(
        typed,
        words=(*about, *draft.identity.numbers, arrival.agency),
        has_second_factor=has_second_factor,
        settings=arrival.services.settings,
    )


def _password_page(arrival: Arrival, draft: Draft, problems: list[FieldError], *, status: int = 200) -> Response:
    return page(
        arrival,
        "enrolment/password.html",
        status=status,
        errors=problems,
        has_password=draft.password_record is not None,
        back_url=path_of(arrival, Step.CONTACT),
    )


# --- second factor ----------------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/enrol/second-factor", methods=["GET", "POST"])
@enrolment_page(Step.SECOND_FACTOR)
def second_factor(arrival: Arrival, draft: Draft) -> Response:
    """Ask what stands beside the password, or begin with it."""
    settings = arrival.services.settings
    offered = {SecondFactor.APP.value: True, SecondFactor.PASSKEY.value: passkey.is_offered(settings)}
    offered[SecondFactor.LATER.value] = not draft.needs_second_factor
    chosen = web.form_parameters().get("factor", "") if request.method == "POST" else ""
    if not offered.get(chosen):
        return page(
            arrival,
            "enrolment/second_factor.html",
            offered=[name for name, is_offered in offered.items() if is_offered],
            back_url=path_of(arrival, Step.PASSWORD),
        )
    factor = SecondFactor(chosen)
    secret = totp.new_secret() if factor is SecondFactor.APP else None
    changed = draft.with_second_factor(factor, totp_secret=secret)
    return kept(arrival, _with_codes(changed) if factor is SecondFactor.LATER else changed)


def _with_codes(draft: Draft) -> Draft:
    """Return the draft with recovery codes: made once, so that a page loaded again shows what is on paper already."""
    return draft if draft.codes else replace(draft, codes=recovery.new_codes())


@blueprint.route("/signin/<handle>/enrol/app", methods=["GET", "POST"])
@enrolment_page(Step.APP)
def app(arrival: Arrival, draft: Draft) -> Response:
    """Show the secret of an authenticator app, or check the first code it shows."""
    assert draft.totp_secret is not None
    if request.method != "POST":
        return _app_page(arrival, draft, [])
    typed = web.form_parameters().get("code", "")
    if problems := code_problems(typed):
        return _app_page(arrival, draft, problems, status=400)
    step = totp.step_of(draft.totp_secret, typed)
    if step is None:
        return _app_page(arrival, draft, [field_error("code", "enrol.app.error.refused")], status=400)
    return kept(arrival, _with_codes(replace(draft, totp_step=step)))


def _app_page(arrival: Arrival, draft: Draft, problems: list[FieldError], *, status: int = 200) -> Response:
    assert draft.totp_secret is not None
    assert draft.identity is not None
    settings, secret = arrival.services.settings, draft.totp_secret
    uri = totp.provisioning_uri(secret, account=draft.identity.full_name, issuer=settings.service_name)
    side, path = totp.qr_path(uri)
    return page(
        arrival,
        "enrolment/app.html",
        status=status,
        errors=problems,
        qr_side=side,
        qr_path=path,
        uri=uri,
        secret=totp.grouped(secret),
        back_url=path_of(arrival, Step.SECOND_FACTOR),
    )


@blueprint.route("/signin/<handle>/enrol/passkey", methods=["GET", "POST"], endpoint="passkey")
@enrolment_page(Step.PASSKEY)
def make_passkey(arrival: Arrival, draft: Draft) -> Response:
    """Ask the browser for a passkey, or judge the one it made. It is kept with the account."""
    if request.method != "POST":
        return _passkey_page(arrival, draft, [])
    answer = web.form_parameters().get("passkey", "")
    try:
        made = passkey.judge_enrolment(answer, bound_to=draft.bound_to, settings=arrival.services.settings)
    except PasskeyRefused as refused:
        problem = passkey_error(refused) if refused.is_late else field_error("", "passkeys.error.refused")
        return _passkey_page(arrival, draft, [problem], status=400)
    return kept(arrival, _with_codes(replace(draft, passkey=made.document())))


def _passkey_page(arrival: Arrival, draft: Draft, problems: list[FieldError], *, status: int = 200) -> Response:
    assert draft.identity is not None
    options = passkey.begin_enrolment(
        draft.id,
        account=draft.identity.full_name,
        bound_to=draft.bound_to,
        settings=arrival.services.settings,
    )
    return page(
        arrival,
        "enrolment/passkey.html",
        status=status,
        errors=problems,
        passkey_options=options,
        with_script=True,
        back_url=path_of(arrival, Step.SECOND_FACTOR),
    )


# --- recovery codes, and the account ----------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/enrol/codes", methods=["GET", "POST"])
@enrolment_page(Step.CODES)
def codes(arrival: Arrival, draft: Draft) -> Response:
    """Show the recovery codes; once they are kept, make the account and sign its owner in."""
    if request.method != "POST":
        return page(arrival, "enrolment/codes.html", codes=draft.codes, back_url=path_of(arrival, Step.SECOND_FACTOR))
    keyring = arrival.services.keyring
    try:
        citizen_id = account.make(
            draft,
            language=web.current_language(),
            passkey_name=translate("passkeys.add.name-default"),
            keyring=keyring,
        )
    except Spent:
        is_over = drafts.read(arrival.visit.id, keyring=keyring).spent_at is not None
        return after_the_end(arrival) if is_over else see_other(path_of(arrival))
    except PasskeyRefused:
        return kept(arrival, draft.with_second_factor(SecondFactor.PASSKEY))
    except NumberTaken:
        return kept(arrival, account.as_known(draft, keyring=keyring))
    return signed_in(arrival, citizen_id, {Method.PASSWORD}, is_new_account=True)
