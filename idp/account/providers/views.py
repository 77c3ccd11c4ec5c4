"""The page of identity providers, /account/providers."""

from dataclasses import dataclass

from flask import Blueprint, Response, request

from idp.account.views import Here, own_page, page
from idp.account.words import moment
from idp.core import web
from idp.core.database import db
from idp.core.web import form_parameters, see_other
from idp.oidc import endings
from idp.sso.forms import FieldError, field_error
from idp.upstream import say
from idp.upstream.record import Provider

blueprint = Blueprint("providers", __name__)
PATH = "/account/providers"
_CONFLICT = 409
_ACTS = {"block": False, "allow": True}


@dataclass(frozen=True, slots=True)
class Row:
    """One provider on the page. `used_at` is empty where the account was never entered by it."""

    slug: str
    name: str
    used_at: str
    is_allowed: bool
    is_in_use: bool


@blueprint.route(PATH, methods=["GET", "POST"])
@own_page
def providers(here: Here) -> Response:
    """Show which providers may open the account, or change that."""
    if request.method != "POST":
        return _page(here)
    form = form_parameters()
    is_allowed = _ACTS.get(form.get("act", ""))
    if is_allowed is None:
        return see_other(PATH)
    if form.get("provider") == "*":
        _set_others(here, are_allowed=is_allowed)
        return see_other(PATH)
    provider = here.services.providers.find(form.get("provider", ""))
    if provider is None:
        return see_other(PATH)
    if not is_allowed and provider.id == here.standing.provider_id:
        # They would close the door behind which they stand; the page has no button for it.
        problem = field_error(f"provider-{provider.slug}", "providers.in-use", provider=_name(provider))
        return _page(here, [problem], status=_CONFLICT)
    _set_one(here, provider, is_allowed=is_allowed)
    return see_other(PATH)


def _page(here: Here, problems: list[FieldError] | None = None, *, status: int = 200) -> Response:
    said = say.read(here.standing.citizen_id)
    db.session.rollback()
    # What is hidden from the sign-in page is of no interest, unless it was used or a word was said about it.
    shown = [
        provider
        for provider in here.services.providers.all()
        if (provider.is_displayed and provider.is_enabled) or provider.id in said.used.keys() | said.named.keys()
    ]
    rows = [
        Row(
            slug=provider.slug,
            name=_name(provider),
            used_at=moment(said.used[provider.id]) if provider.id in said.used else "",
            is_allowed=said.allows(provider.id),
            is_in_use=provider.id == here.standing.provider_id,
        )
        for provider in shown
    ]
    return page(here, "account/providers.html", status=status, rows=rows, others=said.others, errors=problems or [])


def _name(provider: Provider) -> str:
    return provider.name(web.current_language())


def _set_one(here: Here, provider: Provider, *, is_allowed: bool) -> None:
    standing = here.standing
    is_changed = say.set_one(
        standing.citizen_id,
        provider,
        is_allowed=is_allowed,
        session_id=standing.session_id,
        keyring=here.services.keyring,
    )
    if is_changed and not is_allowed:
        # Whoever it was closed against may be inside.
        endings.end_door(standing.citizen_id, provider.id, reason="provider-blocked")
    db.session.commit()


def _set_others(here: Here, *, are_allowed: bool) -> None:
    standing = here.standing
    say.set_others(
        standing.citizen_id,
        here.services.providers.all(),
        are_allowed=are_allowed,
        session_id=standing.session_id,
        keyring=here.services.keyring,
    )
    db.session.commit()
