"""The words of a notice: what happened, when, where, and what to do if it was not the citizen.

A letter never holds the number, a name of the person, an address of the network, or any link: a mail with a link that
leads to a sign-in teaches people to follow the next one, from somebody else. Its subject says nothing personal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape

from idp.core import clock
from idp.core.i18n import DEFAULT_LANGUAGE, translate
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


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice in one language, as plain text and as an HTML document that says the same."""

    language: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


def compose(kind: Notice, facts: Mapping[str, Fact], *, at: datetime, language: str, service_name: str) -> Letter:
    """Return the letter of a notice of `kind` about what happened `at`."""
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
    after = [translate(language, f"notice.{kind}.advice"), translate(language, "notice.no-link", service=service)]
    text = "\n\n".join([what, "\n".join(details), *after]) + "\n"
    items = "\n".join(f"<li>{escape(detail)}</li>" for detail in details)
    body = "\n".join([f"<p>{escape(what)}</p>", f"<ul>\n{items}\n</ul>", *(f"<p>{escape(part)}</p>" for part in after)])
    html = _SHELL.format(language=language, subject=escape(subject), body=body)
    return Letter(language, subject, text, html)


def _line(text: str) -> str:
    """Return a fact as part of one line: an agency's name must not begin a paragraph of its own."""
    return " ".join(text.split())
