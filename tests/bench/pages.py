"""What the load reads off the provider's pages."""

import html
import re
from urllib.parse import urlsplit

from tests.bench.load import Answer, Wrong

_CSRF = re.compile(rb'name="csrf"[^>]*value="([^"]*)"')


def path_of(opened: Answer) -> str:
    """Return where the pages are that an authorization request opened. Raises Wrong."""
    path = urlsplit(opened.header("location")).path
    if not path.startswith("/signin/"):
        raise Wrong("no pages were opened")
    return path


def csrf_of(form: Answer) -> str:
    """Return the word that a form of the page has to be sent with. Raises Wrong."""
    found = _CSRF.search(form.body)
    if found is None:
        raise Wrong("the page has no form")
    return html.unescape(found[1].decode())
