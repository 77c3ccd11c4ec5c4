"""The page of all ways to sign in, /account/ways."""

from flask import Blueprint, Response

from idp.account.views import Here, own_page, page
from idp.account.words import day
from idp.citizens.credentials import apps, passkeys, recovery
from idp.citizens.models import PasswordCredential
from idp.core.database import db
from idp.core.web import translate

blueprint = Blueprint("ways", __name__)
PATH = "/account/ways"


@blueprint.get(PATH)
@own_page
def ways(here: Here) -> Response:
    """List the ways, each with its state."""
    citizen_id, keyring = here.standing.citizen_id, here.services.keyring
    found = [each for each in apps.shown(citizen_id, keyring=keyring) if not each.is_disabled]
    keys = passkeys.shown(citizen_id, keyring=keyring)
    left = recovery.left(citizen_id)
    states = (
        ("password", "/account/password", _password(db.session.get(PasswordCredential, citizen_id))),
        ("apps", "/account/apps", _counted(len(found))),
        ("passkeys", "/account/passkeys", _counted(len(keys))),
        ("recovery", "/account/recovery", translate("ways.left", left=left) if left else translate("ways.none")),
    )
    db.session.rollback()
    return page(here, "account/ways.html", ways=states)


def _password(row: PasswordCredential | None) -> str:
    if row is None:
        return translate("ways.none")
    if row.disabled_at is not None:
        return translate("ways.blocked")
    return translate("ways.password-since", day=day(row.set_at))


def _counted(number: int) -> str:
    return translate("ways.count", count=number) if number else translate("ways.none")
