"""Cutting a provider off.

/console/providers/SLUG/cut      for which agencies, from which level, why, how long; ends sessions where asked
/console/providers/SLUG/uncut    ends the incident, once confirmed
"""

import re
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, request

from idp.console.providers.reading import Seen
from idp.console.providers.views import LIST, done, provider_of, whole
from idp.console.views import Desk, page, staff_page
from idp.core import clock, errors
from idp.core.errors import Failure
from idp.core.levels import Level
from idp.core.web import form_parameters, see_other
from idp.oidc.endings import end_incident
from idp.sso.forms import FieldError, field_error
from idp.staff.rights import Act
from idp.upstream import cuts
from idp.upstream.apply import OutdatedProvider, UnknownProvider
from idp.upstream.cuts import LONGEST_REASON, CutRefused
from idp.upstream.record import Cut

blueprint = Blueprint("console_provider_incident", __name__)
_LANGUAGES = ("vi", "en", "fr")
_LEVELS = ("any", *(level.acr for level in (Level.LOA1, Level.LOA2, Level.LOA3)))
_TIMES = ("since", "until", "ended")
_MOMENT = "%Y-%m-%d %H:%M"
_SHAPE = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}")
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class CutForm:
    """What was typed, and what it comes to."""

    typed: dict[str, str]

    @classmethod
    def read(cls) -> "CutForm":
        """Return the posted form."""
        posted = form_parameters()
        names = ("agencies", "level", *(f"reason-{language}" for language in _LANGUAGES), *_TIMES)
        return cls({name: posted.get(name, "").strip()[:_LONGEST] for name in names})

    @classmethod
    def of(cls, cut: Cut | None) -> "CutForm":
        """Return the form as it stands before anything is typed: with the incident there is."""
        if cut is None:
            return cls({"level": "any"})
        reasons = {f"reason-{language}": text for language, text in cut.reasons.items()}
        level = "any" if cut.level is None else cut.level.acr
        return cls(
            {
                "agencies": " ".join(sorted(cut.agencies)),
                "level": level,
                "since": _typed(cut.since),
                "until": "" if cut.until is None else _typed(cut.until),
                **reasons,
            }
        )

    @property
    def level(self) -> Level | None:
        """Return the level from which it is cut off, None for every one."""
        return next((level for level in Level if level and level.acr == self.typed["level"]), None)

    def moment(self, name: str) -> datetime | None:
        """Return a time, None for an empty field. Raises ValueError."""
        text = " ".join(self.typed[name].replace("T", " ").split())
        if not text:
            return None
        if not _SHAPE.fullmatch(text):
            raise ValueError(name)
        return datetime.strptime(text, _MOMENT).replace(tzinfo=clock.VIETNAM)

    def problems(self) -> list[FieldError]:
        """Return what cannot be meant."""
        found = []
        if self.typed["level"] not in _LEVELS:
            found.append(field_error("level", "console.cut.error.level"))
        for name in _TIMES:
            try:
                at = self.moment(name)
            except ValueError:
                found.append(field_error(name, "console.cut.error.time"))
            else:
                if name == "ended" and at is not None and at > clock.now():
                    found.append(field_error(name, "console.cut.error.ended"))
        return found


@blueprint.route("/console/providers/<slug>/cut", methods=["GET", "POST"])
@staff_page(Act.PROVIDERS_CUT)
def cut(desk: Desk, slug: str) -> Response:
    """Cut a provider off, instead of any incident before."""
    found = provider_of(desk, slug)
    if request.method != "POST":
        return _page(desk, found, CutForm.of(found.cut))
    form, seen = CutForm.read(), whole(form_parameters().get("seen"))
    if problems := form.problems():
        return _page(desk, found, form, problems, seen=seen)
    level, ended = form.level, form.moment("ended")
    try:
        incident = cuts.described(
            agencies=re.split(r"[\s,;]+", form.typed["agencies"]) if form.typed["agencies"] else (),
            level=level,
            reasons={language: form.typed[f"reason-{language}"] for language in _LANGUAGES},
            since=form.moment("since"),
            until=form.moment("until"),
        )
        cuts.cut(slug, incident, by=desk.member.id, seen=seen)
    except CutRefused as refused:
        return _page(desk, found, form, [_problem(*each) for each in refused.problems], seen=seen)
    except UnknownProvider:
        raise Failure(errors.NOT_FOUND) from None
    except OutdatedProvider:
        found = provider_of(desk, slug)
        problem = field_error("", "console.provider.outdated", version=found.version)
        return _page(desk, found, form, [problem], seen=found.version, status=409)
    if ended is None:
        return done(desk, slug, "cut")
    return done(desk, slug, "cut", ended=end_incident(slug, since=ended, level=level))


@blueprint.route("/console/providers/<slug>/uncut", methods=["GET", "POST"])
@staff_page(Act.PROVIDERS_CUT)
def uncut(desk: Desk, slug: str) -> Response:
    """Ask whether the incident is over, and end it."""
    found = provider_of(desk, slug)
    problems = []
    if found.cut is None:
        return see_other(f"{LIST}/{found.slug}")
    if request.method == "POST":
        try:
            cuts.uncut(slug, by=desk.member.id, seen=whole(form_parameters().get("seen")))
        except UnknownProvider:
            raise Failure(errors.NOT_FOUND) from None
        except OutdatedProvider:
            found = provider_of(desk, slug)
            if found.cut is None:
                return done(desk, slug, "uncut")
            problems = [field_error("", "console.provider.outdated", version=found.version)]
        else:
            return done(desk, slug, "uncut")
    return page(
        desk,
        "console/provider_uncut.html",
        status=409 if problems else 200,
        errors=problems,
        provider=found,
        reasons=() if found.cut is None else tuple(found.cut.reasons.items()),
        path=f"{LIST}/{found.slug}",
    )


def _problem(member: str, what: str) -> FieldError:
    if member == "agency":
        return field_error("agencies", "console.cut.error.agency", agency=what.rpartition(" ")[2][:64])
    if member == "until":
        return field_error("until", "console.cut.error.until")
    is_long = "longer" in what
    words = "console.cut.error.reason-long" if is_long else "console.cut.error.reason"
    return field_error(member, words, longest=LONGEST_REASON)


def _page(
    desk: Desk,
    found: Seen,
    form: CutForm,
    problems: list[FieldError] | None = None,
    *,
    seen: int | None = None,
    status: int = 400,
) -> Response:
    return page(
        desk,
        "console/provider_cut.html",
        status=status if problems else 200,
        errors=problems or [],
        provider=found,
        form=form.typed,
        seen=found.version if seen is None else seen,
        levels=_LEVELS,
        is_again=found.cut is not None,
        path=f"{LIST}/{found.slug}",
    )


def _typed(instant: datetime) -> str:
    return instant.astimezone(clock.VIETNAM).strftime(_MOMENT)
