"""The pages about identity providers, and switching one.

/console/providers                   all of them, each with its state
/console/providers/SLUG              one: state, record, incident, what is registered for us there
/console/providers/SLUG/switch       disable or enable it, once confirmed
"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from idp.console.providers import reading
from idp.console.providers.drafts import text_of
from idp.console.providers.reading import Seen
from idp.console.views import HOME, Desk, page, staff_page
from idp.core import clock, errors, web
from idp.core.database import database_now
from idp.core.errors import Failure
from idp.core.web import form_parameters, query_parameters, see_other
from idp.sso.forms import field_error
from idp.staff.rights import Act
from idp.upstream import apply as acts
from idp.upstream.apply import OutdatedProvider, UnknownProvider
from idp.upstream.models import ProviderState
from idp.upstream.record import Cut, ProviderRecord

blueprint = Blueprint("console_providers", __name__)
LIST = f"{HOME}/providers"
_DONE = frozenset({"created", "applied", "unchanged", "enabled", "disabled", "cut", "uncut"})
_LONGEST_COUNT = 9


def provider_of(desk: Desk, slug: str) -> Seen:
    """Return the provider of a page. Raises Failure NOT_FOUND."""
    is_sandbox, language = desk.services.settings.is_sandbox, web.current_language()
    found = reading.seen(slug, is_sandbox=is_sandbox, language=language, now=database_now())
    if found is None:
        raise Failure(errors.NOT_FOUND)
    return found


def whole(text: str | None) -> int:
    """Return a version as a form sends it; -1, which is none, for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _LONGEST_COUNT else -1


def done(desk: Desk, slug: str, word: str, **counts: int) -> Response:
    """Go to the page of a provider after an act; this worker looks at its records anew."""
    desk.services.providers.forget()
    more = "".join(f"&{name}={count}" for name, count in counts.items())
    return see_other(f"{LIST}/{slug}?done={word}{more}")


@blueprint.get("/console/providers")
@staff_page(Act.PROVIDERS_READ)
def listed(desk: Desk) -> Response:
    """List every provider with its state and its last change."""
    is_sandbox, language = desk.services.settings.is_sandbox, web.current_language()
    found = reading.all_seen(is_sandbox=is_sandbox, language=language, now=database_now())
    rows = [
        {
            "slug": each.slug,
            "name": each.name,
            "state": each.state.value,
            "version": each.version,
            "changed": clock.on_the_wall(each.updated_at),
            "path": f"{LIST}/{each.slug}",
        }
        for each in found
    ]
    return page(desk, "console/providers.html", rows=rows, can_change=desk.member.may(Act.PROVIDERS_CHANGE))


@blueprint.get("/console/providers/<slug>")
@staff_page(Act.PROVIDERS_READ)
def one(desk: Desk, slug: str) -> Response:
    """Show one provider."""
    found, query = provider_of(desk, slug), query_parameters()
    word = query.get("done")
    health, record = found.health, found.record
    return page(
        desk,
        "console/provider.html",
        provider=found,
        state=found.state.value,
        done=word if word in _DONE else None,
        ended=max(whole(query.get("ended")), 0),
        changed=clock.on_the_wall(found.updated_at),
        health=None
        if health is None
        else {
            "word": health.condition.value,
            "since": clock.on_the_wall(health.since),
            "checked": clock.on_the_wall(health.checked_at),
        },
        cut=None if found.cut is None else _incident(found.cut),
        rows=[] if record is None else _rows(record, has_secret=found.has_secret),
        document=text_of(found.document),
        registered={} if record is None else desk.services.upstream.to_register(found.slug, record),
        path=f"{LIST}/{found.slug}",
        can_change=desk.member.may(Act.PROVIDERS_CHANGE),
        can_cut=desk.member.may(Act.PROVIDERS_CUT),
    )


@blueprint.route("/console/providers/<slug>/switch", methods=["GET", "POST"])
@staff_page(Act.PROVIDERS_CHANGE)
def switch(desk: Desk, slug: str) -> Response:
    """Ask whether to disable or enable, and do it; not where somebody changed the record meanwhile."""
    found = provider_of(desk, slug)
    problems = []
    if request.method == "POST":
        posted = form_parameters()
        wanted = posted.get("state", "")
        if wanted not in {each.value for each in ProviderState}:
            raise Failure(errors.MALFORMED_REQUEST)
        state = ProviderState(wanted)
        try:
            is_changed = acts.set_state(slug, state, by=desk.member.id, seen=whole(posted.get("seen")))
        except UnknownProvider:
            raise Failure(errors.NOT_FOUND) from None
        except OutdatedProvider:
            found = provider_of(desk, slug)
            if found.is_enabled is (state is ProviderState.ENABLED):
                return done(desk, slug, state.value)
            problems = [field_error("", "console.provider.outdated", version=found.version)]
        else:
            return done(desk, slug, state.value if is_changed else "unchanged")
    return page(
        desk,
        "console/provider_switch.html",
        status=409 if problems else 200,
        errors=problems,
        provider=found,
        wanted=(ProviderState.DISABLED if found.is_enabled else ProviderState.ENABLED).value,
        path=f"{LIST}/{found.slug}",
    )


def _incident(cut: Cut) -> dict[str, Any]:
    return {
        "agencies": ", ".join(sorted(cut.agencies)),
        "level": None if cut.level is None else cut.level.acr,
        "reasons": dict(cut.reasons),
        "since": clock.on_the_wall(cut.since),
        "until": None if cut.until is None else clock.on_the_wall(cut.until),
    }


def _rows(record: ProviderRecord, *, has_secret: bool) -> list[tuple[str, list[str]]]:
    """Return what the record says, by words of the catalogues `console.record.<word>`, and lines of values."""
    flags = {
        "active": record.is_active,
        "display": record.is_displayed,
        "beta": record.is_beta,
        "prompt_login": record.always_prompts,
        "iss_parameter": record.promises_iss,
        "pushed_requests": record.uses_pushed_requests,
        "dpop_bound_access_tokens": record.binds_tokens,
        "end_session": record.ends_sessions,
        "backchannel_logout": record.tells_of_logout,
    }
    encryptions = {name: f"{each.alg} {each.enc}" for name, each in record.encryptions.items()}
    rows: list[tuple[str, list[str]]] = [
        ("names", _pairs(record.names)),
        ("descriptions", _pairs(record.descriptions)),
        ("issuer", [record.issuer]),
        ("client", [record.client_id]),
        ("auth", [f"{record.auth_method} {record.auth_algorithm}"]),
        ("secret", ["client_secret"] if has_secret else []),
        ("endpoints", [f"{name}: {address}" for name, address in record.endpoints.items()]),
        ("levels", [f"{word} → {level.acr}" for word, level in sorted(record.levels.items())]),
        ("without-acr", [] if record.level_without_acr is None else [record.level_without_acr.acr]),
        ("ceiling", [record.ceiling.acr]),
        ("amr", list(record.amr)),
        ("scopes", [" ".join(record.scopes)]),
        ("claims", [f"{fact}: {', '.join(names)}" for fact, names in record.claims.items()]),
        ("agencies", _agencies(record)),
        ("signed", [f"id_token {record.id_token_algorithm}", f"userinfo {record.userinfo_algorithm or '–'}"]),
        ("encrypted", _pairs(encryptions)),
        ("flags", [name for name, is_on in flags.items() if is_on]),
    ]
    return [(word, lines) for word, lines in rows if lines]


def _pairs(texts: Mapping[str, str]) -> list[str]:
    return [f"{name}: {text}" for name, text in texts.items()]


def _agencies(record: ProviderRecord) -> list[str]:
    if not record.agencies and record.are_denied:
        return []
    return [f"{'deny' if record.are_denied else 'allow'}: {', '.join(sorted(record.agencies)) or '–'}"]
