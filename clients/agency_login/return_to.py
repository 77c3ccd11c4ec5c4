"""Where to send a citizen after sign-in: only ever a page of this portal."""

from __future__ import annotations

# Kept in the cookie while the citizen is at LienKet, so it must not crowd out the rest of its 4 kB.
_LONGEST = 400


def own_path(target: str | None) -> str | None:
    """Return `target` when it is a path on this very site, else None.

    A browser reads `\\` as `/`, drops tabs and line breaks, and takes `//host` for another site; hence printable ASCII
    only, one leading slash, no backslash, and no `//` before the query even after percent-decoding by a front server.
    Source: RFC 9700, 4.11 (open redirectors); RFC 3986, 4.2.
    """
    if not target or len(target) > _LONGEST or not target.startswith("/"):
        return None
    if any(not "!" <= character <= "~" for character in target) or "\\" in target:
        return None
    path = target.partition("?")[0].partition("#")[0].lower()
    if "//" in path or "%2f" in path or "%5c" in path or "%0" in path:
        return None
    return target
