"""The pages of contact data.

/account/contacts               what is known, what of it is proven, and by which way notices come
/account/contacts/KIND          type a mail address or mobile number; a code is sent to it
/account/contacts/KIND/code     type the code: then, and not before, the account has the address
/account/contacts/KIND/remove   forget one
"""

from flask import Blueprint, Response, request

from idp.account.sessions import devices
from idp.account.views import Here, own_page, page
from idp.citizens import contact_data, contact_forms, contact_proofs
from idp.citizens.contact_data import Change
from idp.citizens.contact_forms import ContactRefused
from idp.citizens.contact_proofs import Channel, Outcome, Purpose, Throttled, Waiting
from idp.core import web
from idp.core.database import db
from idp.core.web import form_parameters, query_parameters, see_other
from idp.sso.forms import FieldError, code_problems, field_error
from idp.sso.own_pages import own_client
from idp.sso.views import retry

blueprint = Blueprint("contacts", __name__)
PATH = "/account/contacts"
_KINDS = {"mail": Channel.MAIL, "phone": Channel.SMS}
_KIND = "<any(mail, phone):kind>"
_LATE = "late"
_DONE = frozenset({"mail-kept", "phone-kept", "mail-removed", "phone-removed", "by-sms", "by-mail", _LATE})


@blueprint.route(PATH, methods=["GET", "POST"])
@own_page
def listed(here: Here) -> Response:
    """Show the contact data and what was just done, or keep the choice of how notices come."""
    known, by_sms = contact_data.known(here.standing.citizen_id, keyring=here.services.keyring)
    has_phone = (phone := known.get(Channel.SMS)) is not None and phone.is_proven
    if request.method == "POST":
        wanted = form_parameters().get("notices")
        if wanted == "mail" or (wanted == "sms" and has_phone):
            contact_data.choose(here.standing.citizen_id, by_sms=wanted == "sms")
            db.session.commit()
            return see_other(f"{PATH}?done=by-{wanted}")
        return see_other(PATH)
    done = query_parameters().get("done")
    rows = [
        {
            "kind": kind,
            "address": contact_forms.shown(channel, known[channel].address) if channel in known else None,
            "is_proven": channel in known and known[channel].is_proven,
            "path": f"{PATH}/{kind}",
            "is_offered": _is_offered(here, channel),
        }
        for kind, channel in _KINDS.items()
    ]
    return page(
        here,
        "account/contacts.html",
        rows=rows,
        by_sms=by_sms and has_phone,
        may_choose=has_phone and _is_offered(here, Channel.SMS),
        done=done if done in _DONE else None,
    )


def _is_offered(here: Here, channel: Channel) -> bool:
    settings = here.services.settings
    return settings.has_mail if channel is Channel.MAIL else settings.has_sms


@blueprint.route(f"{PATH}/{_KIND}", methods=["GET", "POST"])
@own_page
def entered(here: Here, kind: str) -> Response:
    """Ask for an address, and send a code to it."""
    if not _is_offered(here, _KINDS[kind]):
        return see_other(PATH)
    if request.method != "POST":
        return _entry_page(here, kind, "", [])
    typed = form_parameters().get("contact", "")
    try:
        begun = _send(here, _KINDS[kind], typed)
    except ContactRefused:
        return _entry_page(here, kind, typed[:200], [field_error("contact", f"contacts.{kind}.error")], status=400)
    if isinstance(begun, Throttled):
        problem = _wait("contacts.error.sends", begun.retry_after)
        return retry(_entry_page(here, kind, typed[:200], [problem], status=429), begun.retry_after)
    return see_other(f"{PATH}/{kind}/code")


def _entry_page(here: Here, kind: str, typed: str, problems: list[FieldError], *, status: int = 200) -> Response:
    return page(here, "account/contact.html", status=status, kind=kind, typed=typed, errors=problems)


def _send(here: Here, channel: Channel, typed: str) -> contact_proofs.Begun | Throttled:
    return contact_proofs.begin(
        here.standing.session_id,
        Purpose.CHANGE,
        channel,
        typed,
        language=web.current_language(),
        address=web.remote_address(),
        keyring=here.services.keyring,
        citizen_id=here.standing.citizen_id,
        agency=own_client(here.services.settings).names,
    )


def _wait(message: str, seconds: int) -> FieldError:
    return field_error("", message, minutes=max(1, -(-seconds // 60)))


@blueprint.route(f"{PATH}/{_KIND}/code", methods=["GET", "POST"])
@own_page
def code(here: Here, kind: str) -> Response:
    """Ask for the code that was sent, and keep the address once it is right."""
    sent = contact_proofs.waiting(here.standing.session_id, Purpose.CHANGE, keyring=here.services.keyring)
    if sent is None or sent.channel is not _KINDS[kind]:
        # Never begun, over, or used by the other half of a double click: the list says what is kept.
        return see_other(f"{PATH}?done={_LATE}" if request.method == "POST" else f"{PATH}/{kind}")
    if request.method != "POST":
        return _code_page(here, kind, sent, [])
    posted = form_parameters()
    if posted.get("decision") == "again":
        begun = _send(here, sent.channel, sent.target)
        if isinstance(begun, Throttled):
            problem = _wait("contacts.error.sends", begun.retry_after)
            return retry(_code_page(here, kind, sent, [problem], status=429), begun.retry_after)
        return see_other(request.path)
    typed = posted.get("code", "")
    if problems := code_problems(typed):
        return _code_page(here, kind, sent, problems, status=400)
    return _judge(here, kind, sent, typed)


def _judge(here: Here, kind: str, sent: Waiting, typed: str) -> Response:
    standing, keyring = here.standing, here.services.keyring
    checked = contact_proofs.check(standing.session_id, Purpose.CHANGE, typed, keyring=keyring)
    if checked.outcome is Outcome.THROTTLED:
        wait = checked.retry_after or 1
        return retry(_code_page(here, kind, sent, [_wait("totp.error.throttled", wait)], status=429), wait)
    if checked.outcome is Outcome.LATE:
        return see_other(f"{PATH}?done={_LATE}")
    if checked.channel is None or checked.target is None:
        return _code_page(here, kind, sent, [field_error("code", "contacts.code.refused")], status=400)
    change = contact_data.keep(
        standing.citizen_id, checked.channel, checked.target, language=web.current_language(), keyring=keyring
    )
    if change is Change.CHANGED:
        # One transaction: whoever used the old address is out in the moment it is.
        devices.end_others(standing.citizen_id, standing.session_id)
    db.session.commit()
    return see_other(f"{PATH}?done={kind}-kept")


def _code_page(here: Here, kind: str, sent: Waiting, problems: list[FieldError], *, status: int = 200) -> Response:
    address = contact_forms.shown(sent.channel, sent.target)
    return page(
        here,
        "account/contact_code.html",
        status=status,
        kind=kind,
        address=address,
        errors=problems,
        back=f"{PATH}/{kind}",
    )


@blueprint.route(f"{PATH}/{_KIND}/remove", methods=["GET", "POST"])
@own_page
def remove(here: Here, kind: str) -> Response:
    """Ask whether to forget an address, or do it and sign out everywhere else."""
    channel, standing = _KINDS[kind], here.standing
    known, _ = contact_data.known(standing.citizen_id, keyring=here.services.keyring)
    if channel not in known:
        return see_other(PATH)
    if request.method != "POST":
        is_last = not any(each.is_proven for each in known.values() if each.channel is not channel)
        address = contact_forms.shown(channel, known[channel].address)
        return page(here, "account/contact_remove.html", kind=kind, address=address, is_last=is_last)
    contact_data.remove(standing.citizen_id, channel, language=web.current_language(), keyring=here.services.keyring)
    devices.end_others(standing.citizen_id, standing.session_id)
    return see_other(f"{PATH}?done={kind}-removed")
