"""The page of the language, /account/language."""

from flask import Blueprint, Response, request

from idp.account.language.choice import choose
from idp.account.views import Here, own_page, page
from idp.core.i18n import LANGUAGE_LABELS, LANGUAGES
from idp.core.web import form_parameters, see_other

blueprint = Blueprint("language", __name__)
PATH = "/account/language"


@blueprint.route(PATH, methods=["GET", "POST"])
@own_page
def language(here: Here) -> Response:
    """Show the languages, or make one the citizen's own."""
    standing = here.standing
    if request.method != "POST":
        own = standing.locale
        choices = [(code, LANGUAGE_LABELS[code], code == own) for code in LANGUAGES]
        return page(here, "account/language.html", choices=choices)
    chosen = form_parameters().get("language")
    if chosen not in LANGUAGES:
        return see_other(PATH)
    choose(standing.citizen_id, chosen, session_id=standing.session_id, keyring=here.services.keyring)
    # The switch's own address, so that this browser follows too, whatever was chosen on it before.
    return see_other(f"{PATH}?lang={chosen}")
