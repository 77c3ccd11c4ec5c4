"""The pages of a citizen's authenticator apps.

/account/apps              the list
/account/apps/add          set one up; it counts once its first code was right
/account/apps/ID/name      give one another name
/account/apps/ID/remove    remove one, which signs out everywhere else
"""

from uuid import UUID

from flask import Blueprint, Response, request

from idp.account.sessions import devices
from idp.account.views import Here, own_page, page
from idp.account.words import day, moment
from idp.citizens import assurance, claims
from idp.citizens.assurance import Proofing
from idp.citizens.credentials import apps, means_of, passkeys, totp
from idp.citizens.credentials.apps import App
from idp.citizens.credentials.removal import LastSecondFactor, LastWayIn
from idp.citizens.models import Citizen
from idp.core import errors
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.levels import Method
from idp.core.web import form_parameters, query_parameters, see_other, translate
from idp.sso.forms import FieldError, code_problems, field_error
from idp.sso.session import DOUBLE_CLICK

blueprint = Blueprint("apps", __name__)
PATH = "/account/apps"
_DONE = frozenset({"added", "renamed", "removed"})
_KEYS = frozenset({Method.HARDWARE_KEY, Method.SOFTWARE_KEY})


@blueprint.get(PATH)
@own_page
def listed(here: Here) -> Response:
    """List the apps, and say what was just done."""
    done = query_parameters().get("done")
    rows = apps.shown(here.standing.citizen_id, keyring=here.services.keyring)
    db.session.rollback()
    return page(
        here,
        "account/apps.html",
        rows=[_row(each) for each in rows],
        done=done if done in _DONE else None,
        may_add=_may_add(here),
        is_full=len(rows) >= apps.MOST,
    )


def _may_add(here: Here) -> bool:
    return assurance.may_enrol(Proofing(here.standing.proofing), here.methods)


def _row(app: App) -> dict[str, object]:
    return {
        "name": _name(app),
        "is_disabled": app.is_disabled,
        "added": day(app.added_at),
        "last_used": moment(app.last_used_at) if app.last_used_at else None,
        "path": f"{PATH}/{app.id}",
    }


def _name(app: App) -> str:
    return app.name or translate("apps.name-default")


@blueprint.route(f"{PATH}/add", methods=["GET", "POST"])
@own_page
def add(here: Here) -> Response:
    """Show the secret of a new app, or keep the app once its code is right."""
    if not _may_add(here):
        return see_other(PATH)
    if request.method != "POST":
        return _add_page(here, "", [])
    posted = form_parameters()
    code, label = posted.get("code", ""), posted.get("label", "")
    if problems := code_problems(code):
        return _add_page(here, label, problems, status=400)
    outcome = apps.finish(
        here.standing.citizen_id,
        code,
        # A name that cannot be kept must not cost another code.
        name=passkeys.as_name(label) or translate("apps.name-default"),
        bound_to=here.standing.session_id,
        keyring=here.services.keyring,
    )
    if outcome is apps.Outcome.REFUSED:
        return _add_page(here, label, [field_error("code", "apps.add.error")], status=400)
    # The browser shows what the later half of a double click is told.
    is_added = outcome is apps.Outcome.ADDED or apps.was_just_added(here.standing.citizen_id, within=DOUBLE_CLICK)
    return see_other(f"{PATH}?done=added" if is_added else PATH)


def _add_page(here: Here, label: str, problems: list[FieldError], *, status: int = 200) -> Response:
    citizen_id, keyring = here.standing.citizen_id, here.services.keyring
    secret = apps.begin(citizen_id, bound_to=here.standing.session_id, keyring=keyring)
    if secret is None:
        return see_other(PATH)
    citizen = db.session.get_one(Citizen, citizen_id)
    profile = claims.profile_of(citizen, keyring)
    db.session.rollback()
    uri = totp.provisioning_uri(secret, account=profile.full_name, issuer=here.services.settings.service_name)
    side, path = totp.qr_path(uri)
    return page(
        here,
        "account/app_add.html",
        status=status,
        errors=problems,
        label=label[:200],
        qr_side=side,
        qr_path=path,
        uri=uri,
        secret=totp.grouped(secret),
    )


@blueprint.route(f"{PATH}/<uuid:app_id>/name", methods=["GET", "POST"])
@own_page
def name(here: Here, app_id: UUID) -> Response:
    """Ask for another name, or keep it."""
    app = _own(here, app_id)
    if request.method != "POST":
        return page(here, "account/app_name.html", name=_name(app), errors=[])
    typed = form_parameters().get("label", "")
    wanted = passkeys.as_name(typed)
    if not wanted:
        problem = field_error("label", "passkeys.rename.error", most=passkeys.LONGEST_NAME)
        return page(here, "account/app_name.html", status=400, name=typed[:200], errors=[problem])
    apps.rename(here.standing.citizen_id, app_id, wanted, keyring=here.services.keyring)
    db.session.commit()
    return see_other(f"{PATH}?done=renamed")


@blueprint.route(f"{PATH}/<uuid:app_id>/remove", methods=["GET", "POST"])
@own_page
def remove(here: Here, app_id: UUID) -> Response:
    """Ask whether to remove an app, or do it and sign out everywhere else."""
    app = _own(here, app_id)
    if request.method != "POST":
        return _remove_page(here, app, [])
    citizen_id = here.standing.citizen_id
    try:
        apps.remove(citizen_id, app_id, keyring=here.services.keyring)
    except LastWayIn:
        return _remove_page(here, app, [field_error("", "passkeys.remove.last")], status=400)
    except LastSecondFactor:
        return _remove_page(here, app, [field_error("", "ways.last-second-factor")], status=400)
    # One transaction: whoever holds the phone is out in the moment its app is.
    devices.end_others(citizen_id, here.standing.session_id)
    return see_other(f"{PATH}?done=removed")


def _remove_page(here: Here, app: App, problems: list[FieldError], *, status: int = 200) -> Response:
    rows = apps.shown(here.standing.citizen_id, keyring=here.services.keyring)
    has_key = bool(means_of(here.standing.citizen_id) & _KEYS)
    db.session.rollback()
    is_last = not has_key and not [each for each in rows if each.id != app.id and not each.is_disabled]
    return page(
        here,
        "account/app_remove.html",
        status=status,
        name=_name(app),
        errors=problems,
        lowers=is_last and not app.is_disabled,
    )


def _own(here: Here, app_id: UUID) -> App:
    rows = apps.shown(here.standing.citizen_id, keyring=here.services.keyring)
    db.session.rollback()
    for row in rows:
        if row.id == app_id:
            return row
    raise Failure(errors.NOT_FOUND)
