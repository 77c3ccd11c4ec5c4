"""The pages of a citizen's passkeys.

/account/passkeys              the list
/account/passkeys/add          make one; the only task here that needs a script, and says so where there is none
/account/passkeys/ID/name      give one another name
/account/passkeys/ID/remove    remove one, which signs out everywhere else
"""

from uuid import UUID

from flask import Blueprint, Response, request

from idp.account.sessions import devices
from idp.account.views import Here, own_page, page
from idp.account.words import day
from idp.citizens import assurance, claims
from idp.citizens.assurance import Proofing
from idp.citizens.credentials import passkey, passkeys
from idp.citizens.credentials.passkey import PasskeyRefused
from idp.citizens.credentials.passkeys import Shown
from idp.citizens.credentials.removal import LastSecondFactor, LastWayIn
from idp.citizens.models import Citizen
from idp.core import errors
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.levels import Level
from idp.core.web import form_parameters, query_parameters, see_other, translate
from idp.sso.forms import FieldError, field_error
from idp.sso.views import passkey_error

blueprint = Blueprint("passkeys", __name__)
PATH = "/account/passkeys"
_DONE = frozenset({"added", "renamed", "removed"})


@blueprint.get(PATH)
@own_page
def listed(here: Here) -> Response:
    """List the passkeys, and say what was just done."""
    done = query_parameters().get("done")
    rows = passkeys.shown(here.standing.citizen_id, keyring=here.services.keyring)
    db.session.rollback()
    return page(
        here,
        "account/passkeys.html",
        rows=[_row(each) for each in rows],
        done=done if done in _DONE else None,
        is_offered=passkey.is_offered(here.services.settings),
        may_add=_may_add(here),
        needs_app=assurance.level_at_home(here.methods) >= Level.LOA2,
    )


def _may_add(here: Here) -> bool:
    """Tell whether this sign-in may make a key for the account."""
    return assurance.may_enrol_key(Proofing(here.standing.proofing), here.methods)


def _row(shown: Shown) -> dict[str, object]:
    return {
        "name": shown.name,
        "kind": "copied" if shown.is_copied else "bound" if shown.is_device_bound else "synced",
        "created": day(shown.created_at),
        "last_used": day(shown.last_used_at) if shown.last_used_at else None,
        "path": f"{PATH}/{shown.id}",
    }


@blueprint.route(f"{PATH}/add", methods=["GET", "POST"])
@own_page
def add(here: Here) -> Response:
    """Ask the browser for a new passkey, or keep the one it made."""
    if not passkey.is_offered(here.services.settings) or not _may_add(here):
        return see_other(PATH)
    if request.method != "POST":
        return _add_page(here, [])
    posted = form_parameters()
    try:
        passkey.finish_enrolment(
            here.standing.citizen_id,
            posted.get("passkey", ""),
            # A name that cannot be kept must not lose the passkey, which the device has made already.
            name=passkeys.as_name(posted.get("label", "")) or translate("passkeys.add.name-default"),
            bound_to=here.standing.session_id,
            settings=here.services.settings,
            keyring=here.services.keyring,
        )
    except PasskeyRefused as refused:
        problem = passkey_error(refused) if refused.is_late else field_error("", "passkeys.error.refused")
        return _add_page(here, [problem], status=400)
    return see_other(f"{PATH}?done=added")


def _add_page(here: Here, problems: list[FieldError], *, status: int = 200) -> Response:
    citizen = db.session.get_one(Citizen, here.standing.citizen_id)
    profile = claims.profile_of(citizen, here.services.keyring)
    options = passkey.begin_enrolment(
        citizen.id,
        account=profile.full_name,
        bound_to=here.standing.session_id,
        settings=here.services.settings,
    )
    db.session.rollback()
    return page(
        here,
        "account/passkey_add.html",
        status=status,
        errors=problems,
        passkey_options=options,
        with_script=options is not None,
    )


@blueprint.route(f"{PATH}/<uuid:passkey_id>/name", methods=["GET", "POST"])
@own_page
def name(here: Here, passkey_id: UUID) -> Response:
    """Ask for another name, or keep it."""
    shown = _own(here, passkey_id)
    if request.method != "POST":
        return page(here, "account/passkey_name.html", name=shown.name, errors=[])
    typed = form_parameters().get("label", "")
    wanted = passkeys.as_name(typed)
    if not wanted:
        problem = field_error("label", "passkeys.rename.error", most=passkeys.LONGEST_NAME)
        return page(here, "account/passkey_name.html", status=400, name=typed[:200], errors=[problem])
    passkeys.rename(here.standing.citizen_id, passkey_id, wanted, keyring=here.services.keyring)
    db.session.commit()
    return see_other(f"{PATH}?done=renamed")


@blueprint.route(f"{PATH}/<uuid:passkey_id>/remove", methods=["GET", "POST"])
@own_page
def remove(here: Here, passkey_id: UUID) -> Response:
    """Ask whether to remove a passkey, or do it and sign out everywhere else."""
    shown = _own(here, passkey_id)
    if request.method != "POST":
        return page(here, "account/passkey_remove.html", name=shown.name, errors=[])
    citizen_id = here.standing.citizen_id
    try:
        passkeys.remove(citizen_id, passkey_id, keyring=here.services.keyring)
    except LastWayIn:
        return _kept(here, shown, "passkeys.remove.last")
    except LastSecondFactor:
        return _kept(here, shown, "ways.last-second-factor")
    # One transaction: whoever held the device is out in the moment its passkey is.
    devices.end_others(citizen_id, here.standing.session_id)
    return see_other(f"{PATH}?done=removed")


def _kept(here: Here, shown: Shown, why: str) -> Response:
    return page(here, "account/passkey_remove.html", status=400, name=shown.name, errors=[field_error("", why)])


def _own(here: Here, passkey_id: UUID) -> Shown:
    rows = passkeys.shown(here.standing.citizen_id, keyring=here.services.keyring)
    db.session.rollback()
    for row in rows:
        if row.id == passkey_id:
            return row
    raise Failure(errors.NOT_FOUND)
