"""/account/password: set or change the password.

The old one is not asked for: whoever is here has just signed in, with all factors of the account (`own_page`).
"""

from flask import Blueprint, Response, request

from idp.account.sessions import devices
from idp.account.views import Here, own_page, page
from idp.audit.events import Event
from idp.citizens.credentials import choice, hashing, means_of, password
from idp.core.levels import Method
from idp.core.web import form_parameters, query_parameters, see_other
from idp.sso.forms import FieldError, NewPasswordForm, field_error

blueprint = Blueprint("password", __name__)
PATH = "/account/password"


@blueprint.route(PATH, methods=["GET", "POST"])
@own_page
def change(here: Here) -> Response:
    """Ask for a new password, or keep it and sign out everywhere else."""
    citizen_id, settings, keyring = here.standing.citizen_id, here.services.settings, here.services.keyring
    standards = choice.standards(citizen_id, names=(), keyring=keyring)
    if request.method != "POST":
        return _page(here, standards, [], is_done=query_parameters().get("done") == "changed")
    form = NewPasswordForm.read(form_parameters())
    if problems := form.problems(standards, settings):
        return _page(here, standards, problems, status=400)
    try:
        stored = password.make_hash(form.password, owner=citizen_id, settings=settings, keyring=keyring)
    except hashing.Busy:
        return _page(here, standards, [field_error("", "error.OP-002.message")], status=503)
    choice.keep(citizen_id, stored, Event.PASSWORD_SET, keyring=keyring)
    # One transaction: whoever knew the old one is out in the moment it is.
    devices.end_others(citizen_id, here.standing.session_id)
    return see_other(f"{PATH}?done=changed")


def _page(
    here: Here,
    standards: choice.Standards,
    problems: list[FieldError],
    *,
    status: int = 200,
    is_done: bool = False,
) -> Response:
    return page(
        here,
        "account/password.html",
        status=status,
        errors=problems,
        least=standards.least,
        is_done=is_done,
        has_password=Method.PASSWORD in means_of(here.standing.citizen_id),
    )
