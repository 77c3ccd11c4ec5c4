"""Changing the record of a provider.

/console/providers/SLUG/change    its document in a field, then what would become another, then done
/console/new-provider             the same for one that is not there yet

The text goes with the person from page to page, so that nothing typed is lost; the secret has a field of its own on the
last page and never comes back. Whoever looked at a version that is no longer in force sees the newer one first.
"""

from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, request

from idp.agencies.reading import DocumentRefused
from idp.console.providers import reading
from idp.console.providers.drafts import NamedTwice, NotJson, compare, read_text, text_of, without_secret
from idp.console.providers.reading import SOURCE, Seen
from idp.console.providers.views import LIST, done, provider_of, whole
from idp.console.views import Desk, page, staff_page, typed
from idp.core import clock, web
from idp.core.database import database_now
from idp.core.web import form_parameters
from idp.sso.forms import FieldError, field_error
from idp.staff.rights import Act
from idp.upstream import apply as acts
from idp.upstream.apply import OutdatedProvider
from idp.upstream.document import ProviderDocument, read
from idp.upstream.record import AuthMethod

blueprint = Blueprint("console_provider_change", __name__)
_SECRET = "client_secret"  # noqa: S105 (the name of a field)
_LONGEST_PROBLEM = 300
_START = {
    "slug": "",
    "issuer": "https://",
    "client_id": "",
    "name": {"vi": "", "en": "", "fr": ""},
    "levels": {"": "loa1"},
    "ceiling": "loa1",
}


@dataclass(frozen=True, slots=True)
class Edit:
    """What a form says: the text, the version that was looked at, and how far it has come."""

    text: str
    seen: int
    is_confirmed: bool
    wants_back: bool
    secret: str = field(repr=False)

    @classmethod
    def read(cls) -> "Edit":
        """Return the posted form."""
        posted = form_parameters()
        return cls(
            typed(posted.get("document", "")),
            whole(posted.get("seen")),
            is_confirmed=posted.get("step") == "confirm",
            wants_back=posted.get("step") == "back",
            secret=posted.get(_SECRET, ""),
        )


@blueprint.route("/console/providers/<slug>/change", methods=["GET", "POST"])
@staff_page(Act.PROVIDERS_CHANGE)
def change(desk: Desk, slug: str) -> Response:
    """Describe a provider anew."""
    return _work_on(desk, provider_of(desk, slug))


@blueprint.route("/console/new-provider", methods=["GET", "POST"])
@staff_page(Act.PROVIDERS_CHANGE)
def add(desk: Desk) -> Response:
    """Describe a provider that is not there yet."""
    return _work_on(desk, None)


def _work_on(desk: Desk, known: Seen | None) -> Response:
    if request.method != "POST":
        return _form(desk, known, text_of(_START if known is None else known.document))
    edit = Edit.read()
    if edit.wants_back:
        return _form(desk, known, edit.text, seen=edit.seen)
    try:
        members, has_secret = without_secret(read_text(edit.text))
    except NotJson as error:
        words = "console.change.not-json-line" if error.line else "console.change.not-json"
        return _form(desk, known, edit.text, seen=edit.seen, problems=[field_error("document", words, line=error.line)])
    except NamedTwice as error:
        twice = field_error("document", "console.change.twice", member=error.member[:100])
        return _form(desk, known, edit.text, seen=edit.seen, problems=[twice])
    if has_secret:
        # Taken out of what goes back: the field is no place for it.
        problem = field_error("document", "console.change.secret-here")
        return _form(desk, known, text_of(members), seen=edit.seen, problems=[problem])
    if problem_of_slug := _wrong_slug(desk, known, members):
        return _form(desk, known, edit.text, seen=edit.seen, problems=[problem_of_slug])
    if known is not None and edit.seen != known.version:
        return _outdated(desk, known, edit.text, members)
    return _judge(desk, known, edit, members)


def _judge(desk: Desk, known: Seen | None, edit: Edit, members: dict[str, Any]) -> Response:
    """Check the document; show what would change, or change it."""
    is_kept = known is not None and acts.keeps_secret(members)
    whole_document = members | {_SECRET: edit.secret} if edit.is_confirmed and edit.secret else members
    try:
        document = read(
            whole_document,
            source=SOURCE,
            is_sandbox=desk.services.settings.is_sandbox,
            has_secret=is_kept or not edit.is_confirmed,
        )
    except DocumentRefused as refused:
        problems = [_problem(each) for each in refused.problems]
        if edit.is_confirmed and all(each.field == _SECRET for each in problems):
            return _confirmation(desk, known, edit, members, is_kept=is_kept, problems=problems)
        return _form(desk, known, edit.text, seen=edit.seen, problems=problems)
    if not edit.is_confirmed:
        is_same = known is not None and not compare(known.document, document.members)
        if is_same and not _needs_secret(members):
            nothing = field_error("document", "console.change.nothing")
            return _form(desk, known, edit.text, seen=edit.seen, problems=[nothing])
        return _confirmation(desk, known, edit, members, is_kept=is_kept)
    return _apply(desk, known, edit, document, members)


def _apply(desk: Desk, known: Seen | None, edit: Edit, document: ProviderDocument, members: dict[str, Any]) -> Response:
    version = 0 if known is None else known.version
    try:
        row, is_new = acts.apply(document, keyring=desk.services.keyring, by=desk.member.id, seen=version)
    except OutdatedProvider:
        if known is None:
            taken = field_error("document", "console.change.taken")
            return _form(desk, None, edit.text, problems=[taken])
        return _outdated(desk, provider_of(desk, known.slug), edit.text, members)
    if is_new:
        return done(desk, row.slug, "created")
    return done(desk, row.slug, "unchanged" if row.version == version else "applied")


def _wrong_slug(desk: Desk, known: Seen | None, members: dict[str, Any]) -> FieldError | None:
    slug = members.get("slug")
    if known is not None:
        return None if slug == known.slug else field_error("document", "console.change.slug", slug=known.slug)
    if not isinstance(slug, str):
        return None
    is_sandbox, language = desk.services.settings.is_sandbox, web.current_language()
    taken = reading.seen(slug, is_sandbox=is_sandbox, language=language, now=database_now())
    return None if taken is None else field_error("document", "console.change.taken")


def _problem(line: str) -> FieldError:
    """Return a refused member as an error of its field: those about the secret have one of their own."""
    said = line.removeprefix(f"{SOURCE}: ")[:_LONGEST_PROBLEM]
    return FieldError(_SECRET if said.startswith(f"{_SECRET}: ") else "document", said)


def _needs_secret(members: dict[str, Any]) -> bool:
    method: object = members.get("token_endpoint_auth_method", AuthMethod.PRIVATE_KEY_JWT)
    return method != AuthMethod.PRIVATE_KEY_JWT


def _form(
    desk: Desk, known: Seen | None, text: str, *, seen: int | None = None, problems: list[FieldError] | None = None
) -> Response:
    version = 0 if known is None else known.version
    return page(
        desk,
        "console/provider_change.html",
        status=400 if problems else 200,
        errors=problems or [],
        known=known,
        text=text,
        seen=version if seen is None else seen,
        newer=None,
        changes=(),
        path=LIST if known is None else f"{LIST}/{known.slug}",
    )


def _outdated(desk: Desk, known: Seen, text: str, members: dict[str, Any]) -> Response:
    """Show the newer record beside what was typed; sent again, it counts as looked at."""
    changed = clock.on_the_wall(known.updated_at)
    problem = field_error("document", "console.change.outdated", version=known.version, at=changed)
    return page(
        desk,
        "console/provider_change.html",
        status=409,
        errors=[problem],
        known=known,
        text=text,
        seen=known.version,
        newer=text_of(known.document),
        changes=compare(known.document, members),
        path=f"{LIST}/{known.slug}",
    )


def _confirmation(
    desk: Desk,
    known: Seen | None,
    edit: Edit,
    members: dict[str, Any],
    *,
    is_kept: bool,
    problems: list[FieldError] | None = None,
) -> Response:
    return page(
        desk,
        "console/provider_confirm.html",
        status=400 if problems else 200,
        errors=problems or [],
        known=known,
        text=edit.text,
        seen=0 if known is None else known.version,
        changes=compare({} if known is None else known.document, members),
        needs_secret=_needs_secret(members),
        is_kept=is_kept,
    )
