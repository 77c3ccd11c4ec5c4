"""What docs/connect-an-agency.md tells people to copy is what the portals of these tests run."""

import re
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.journeys.stage import REGISTRATIONS, ROOT
from tests.parties.sandbox import PARTIES

DOCUMENT = ROOT / "docs" / "connect-an-agency.md"
SOURCES = {
    "openid-client 6": ("openid_client.mjs", "portal.mjs"),
    "oauth4webapi 3": ("oauth4webapi.mjs",),
    "Authlib": ("authlib_portal.py",),
    "Django, mozilla-django-oidc": ("django_portal/settings.py", "django_portal/backend.py"),
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """Return the part of the document under a heading that begins so."""
    parts = DOCUMENT.read_text("utf-8").split("\n### ")
    [found] = [part for part in parts if part.startswith(title)]
    return found.split("\n## ")[0]


def pieces(title: str) -> Iterator[str]:
    """Yield what stands between the marks of something left out, for each block of the section."""
    for _, block in _BLOCK.findall(section(title)):
        yield from (piece for piece in re.split(r"^\s*(?://|#) \.\.\.\n", block, flags=re.MULTILINE) if piece.strip())


def lines(text: str) -> str:
    """Return the lines without the indentation they share and without empty ones."""
    return "\n".join(line.strip() for line in dedent(text).splitlines() if line.strip())


@pytest.mark.parametrize("title", SOURCES)
def test_settings_in_the_document_are_those_of_a_portal_that_works(title: str) -> None:
    run = [lines((PARTIES / name).read_text("utf-8")) for name in SOURCES[title]]
    shown = [lines(piece) for piece in pieces(title)]
    assert len(shown) > 1
    assert [piece for piece in shown if not any(piece in source for source in run)] == []


def test_settings_of_apache_in_the_document_are_those_of_the_example() -> None:
    example = lines((REGISTRATIONS / "mod_auth_openidc" / "apache.conf.template").read_text("utf-8")).splitlines()
    shown = [line for piece in pieces("Apache, mod_auth_openidc") for line in lines(piece).splitlines()]
    assert shown
    assert [line for line in shown if line not in example] == []
