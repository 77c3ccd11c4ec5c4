"""The page of the history, /account/history."""

from itertools import groupby
from urllib.parse import urlencode

from flask import Blueprint, Response

from idp.account.history import ledger
from idp.account.history.ledger import Cursor, Item, Line
from idp.account.views import Here, own_page, page
from idp.account.words import moment
from idp.citizens import claims
from idp.core import web
from idp.core.database import db
from idp.core.scopes import OFFLINE_ACCESS
from idp.core.web import query_parameters, translate
from idp.sso import disowned
from idp.sso.disowned import Report

blueprint = Blueprint("history", __name__)
PATH = "/account/history"


@blueprint.get(PATH)
@own_page
def history(here: Here) -> Response:
    """Show the lines of the last six months, or all; of every agency, or of one."""
    asked, language = query_parameters(), web.current_language()
    agencies = ledger.agencies(here.standing.citizen_id, language=language)
    names = dict(agencies)
    agency = asked.get("agency") if asked.get("agency") in names else None
    is_all = asked.get("all") == "1"
    before = Cursor.read(asked.get("before", ""))
    found = ledger.page(here.standing.citizen_id, before=before, is_all=is_all, agency=agency, language=language)
    reports = disowned.of_sessions(here.standing.citizen_id, frozenset(line.session_id for line in found.lines))
    db.session.rollback()
    return page(
        here,
        "account/history.html",
        lines=[_shown(line, reports.get(line.session_id), here) for line in found.lines],
        is_all=is_all,
        is_first=before is None,
        agency=names.get(agency or ""),
        agencies=[(name, _address(is_all=is_all, agency=slug)) for slug, name in agencies],
        newest_url=_address(is_all=is_all, agency=agency),
        older_url=_address(is_all=is_all, agency=agency, before=found.next) if found.next is not None else None,
        range_url=_address(is_all=not is_all, agency=agency),
        every_url=_address(is_all=is_all, agency=None),
    )


def _address(*, is_all: bool, agency: str | None, before: Cursor | None = None) -> str:
    query = {"agency": agency, "all": "1" if is_all else None, "before": str(before) if before is not None else None}
    chosen = {name: value for name, value in query.items() if value}
    return f"{PATH}?{urlencode(chosen)}" if chosen else PATH


def _shown(line: Line, report: Report | None, here: Here) -> dict[str, object]:
    """Return a line as the page shows it; claims for one purpose and of one source stand together."""
    return {
        "at": moment(line.at),
        "client": line.client,
        "agency": line.agency,
        "device": line.device,
        "network": line.network,
        "counter": line.counter,
        "level": f"loa{line.level}" if line.level else "",
        "is_consent": line.is_consent,
        "legal_basis": line.legal_basis,
        "reported": report.reference if report is not None else "",
        # Not the sign-in that this very page is read in: signing out is what ends that one.
        "not_me_url": f"{PATH}/{line.session_id.hex}" if line.session_id != here.standing.session_id else "",
        "items": [
            (", ".join(_label(item) for item in items), purpose, is_kept, source)
            for (purpose, is_kept, source), items in groupby(line.items, key=_alike)
        ],
    }


def _alike(item: Item) -> tuple[str, bool, str]:
    source = "" if item.claim == OFFLINE_ACCESS else claims.source_of(item.claim).value
    return item.purpose, item.is_kept, source


def _label(item: Item) -> str:
    return translate("history.lasting" if item.claim == OFFLINE_ACCESS else f"claim.{item.claim}")
