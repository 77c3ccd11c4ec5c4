"""The words of a notice: what happened, when, where, and what to do if it was not the citizen. And those of a code.

A letter never holds the number, a name of the person or an address of the network, and its subject says nothing
personal. Its one link leads to a page that never asks for a password and never signs in, and the letter says so: a mail
with a link that leads to a sign-in teaches people to follow the next one, from somebody else.
"""

from collections.abc import Mapping
from datetime import datetime
from html import escape

from idp.core import clock
from idp.core.i18n import DEFAULT_LANGUAGE, translate
from idp.notify.channels import Letter
from idp.notify.codes import CodePurpose
from idp.notify.notices import Fact, Notice

_SHELL = """\
<!DOCTYPE html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{subject}</title></head>
<body style="margin: 0; padding: 24px; color: #0b0c0c; background: #ffffff">
<div style="max-width: 600px; font-family: Arial, sans-serif; font-size: 16px; line-height: 1.5">
{body}
</div>
</body>
</html>
"""


def compose(
    kind: Notice,
    facts: Mapping[str, Fact],
    *,
    at: datetime,
    language: str,
    service_name: str,
    not_me: str | None = None,
    invitation: str | None = None,
) -> Letter:
    """Return the letter of a notice of `kind` about what happened `at`.

    `not_me` is the link by which its reader disowns that (`refusals`), None where nobody's act is told of;
    `invitation` the one by which they accept what is offered.
    """
    service = _line(service_name)
    subject = translate(language, f"notice.{kind}.subject", service=service)
    what = translate(language, f"notice.{kind}.what", service=service)
    details = [translate(language, "notice.when", at=clock.on_the_wall(at))]
    if isinstance(names := facts.get("agency"), Mapping):
        agency = _line(names.get(language) or names[DEFAULT_LANGUAGE])
        details.append(translate(language, "notice.where", agency=agency))
    if isinstance(device := facts.get("device"), str):
        known = device or translate(language, "notice.device-unknown")
        details.append(translate(language, "notice.device", device=_line(known)))
    if isinstance(names := facts.get("counter"), Mapping) and names:
        counter = _line(names.get(language) or names[DEFAULT_LANGUAGE])
        details.append(translate(language, "notice.counter", counter=counter))
    if isinstance(names := facts.get("provider"), Mapping):
        provider = _line(names.get(language) or names[DEFAULT_LANGUAGE])
        details.append(translate(language, "notice.provider", provider=provider))
    if isinstance(reference := facts.get("reference"), str):
        details.append(translate(language, "notice.reference", reference=_line(reference)))
    if isinstance(role := facts.get("role"), str):
        details.append(translate(language, "notice.role", role=translate(language, f"staff.role.{role}")))
    if isinstance(left := facts.get("left"), str):
        details.append(translate(language, "notice.codes-left", left=left))
    if isinstance(day := facts.get("day"), str):
        details.append(translate(language, "notice.day", day=_line(day)))
    advice = translate(language, f"notice.{kind}.advice", service=service)
    end = translate(language, "notice.no-link", service=service)
    paragraphs, marked = [advice], [escape(advice)]
    for link, words in ((not_me, "notice.not-me"), (invitation, "notice.invitation")):
        if link is None:
            continue
        offer, promise = translate(language, words), translate(language, f"{words}-safe")
        paragraphs += [f"{offer}\n{link}", promise]
        address = escape(link)
        marked += [f'{escape(offer)}<br>\n<a href="{address}">{address}</a>', escape(promise)]
    text = "\n\n".join([what, "\n".join(details), *paragraphs, end]) + "\n"
    items = "\n".join(f"<li>{escape(detail)}</li>" for detail in details)
    parts = "\n".join(f"<p>{part}</p>" for part in (*marked, escape(end)))
    body = f"<p>{escape(what)}</p>\n<ul>\n{items}\n</ul>\n{parts}"
    html = _SHELL.format(language=language, subject=escape(subject), body=body)
    # What nobody did, nobody can disown: there the message says what to do next.
    short = f"{subject}. {advice if not_me is None else translate(language, 'notice.short')}"
    return Letter(language, subject, text, html, short)


def compose_code(purpose: CodePurpose, facts: Mapping[str, Fact], *, language: str, service_name: str) -> Letter:
    """Return the letter that brings a code. Its subject does not hold the code: screens that are locked show it."""
    service = _line(service_name)
    subject = translate(language, "code.subject", service=service)
    # First, where a telephone looks for it.
    parts = [translate(language, "code.what", code=facts["code"], service=service)]
    aim = translate(language, f"code.for.{purpose}")
    if isinstance(names := facts.get("agency"), Mapping):
        agency = _line(names.get(language) or names[DEFAULT_LANGUAGE])
        aim = f"{aim} {translate(language, 'code.where', agency=agency)}"
    parts += [aim, translate(language, "code.scam")]
    short = " ".join(parts)
    parts += [translate(language, "code.lasts"), translate(language, "code.not-you")]
    body = "\n".join(f"<p>{escape(part)}</p>" for part in parts)
    html = _SHELL.format(language=language, subject=escape(subject), body=body)
    return Letter(language, subject, "\n\n".join(parts) + "\n", html, short)


def _line(text: str) -> str:
    """Return a fact as part of one line: an agency's name must not begin a paragraph of its own."""
    return " ".join(text.split())
