"""The pages of the own data, /account/data: what there is, the file, and everything to read."""

from flask import Blueprint, Response

from idp.account.data.holdings import sections
from idp.account.data.writing import as_json, readable
from idp.account.views import Here, own_page, page
from idp.account.words import moment
from idp.audit.events import Event
from idp.audit.record import record
from idp.core import clock, errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.web import render_stream, streamed

blueprint = Blueprint("data", __name__)
PATH = "/account/data"
FILE_NAME = "lienket-my-data.json"


@blueprint.get(PATH)
@own_page
def data(here: Here) -> Response:
    """Say what there is to download."""
    return page(here, "account/data.html")


@blueprint.get(f"{PATH}/file")
@own_page
def file(here: Here) -> Response:
    """Hand out everything as JSON."""
    _note(here, "file")
    found = sections(here.standing.citizen_id, language=web.current_language(), provider=here.services)
    headers = {"Content-Disposition": f'attachment; filename="{FILE_NAME}"'}
    return streamed(as_json(found, made_at=clock.now()), "application/json", headers)


@blueprint.get(f"{PATH}/page")
@own_page
def everything(here: Here) -> Response:
    """Show everything on one page, to read, print or keep."""
    _note(here, "page")
    language = web.current_language()
    found = sections(here.standing.citizen_id, language=language, provider=here.services)
    return render_stream(
        "account/everything.html", sections=readable(found, language=language), made_at=moment(clock.now())
    )


def _note(here: Here, form: str) -> None:
    """Put on record that everything was handed out. Another site may not even ask for it."""
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    standing = here.standing
    record(
        db.session,
        Event.DATA_HANDED_OUT,
        citizen_id=standing.citizen_id,
        session_id=standing.session_id,
        detail={"form": form},
    )
    db.session.commit()
