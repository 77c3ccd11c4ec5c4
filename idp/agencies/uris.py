"""Addresses in a client document: where browsers may be sent, and links shown to citizens."""

import ipaddress
import re
from urllib.parse import urlsplit

_HOST_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_MAX_HOST_LENGTH = 253
# The unreserved, reserved and escape characters of RFC 3986, without `*`: people write it for a wildcard.
_ALLOWED = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=%]+")
_URN = re.compile(r"urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:[A-Za-z0-9\-._~!$&'()+,;=:@/%]+")
# urlsplit lets future kinds of address pass between brackets, and on older Pythons anything (RFC 3986, 3.2.2).
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def problem_of(uri: str, *, allows_loopback: bool) -> str | None:
    """Return why browsers may not be sent to `uri`, or None when they may.

    Absolute and https without fragment, user or wildcard (RFC 6749, 3.1.2; RFC 9700, 4.1); with `allows_loopback`
    also http on loopback. The string itself is what is compared later, so nothing is ever rewritten here.
    """
    if "*" in uri:
        return "has a wildcard; list every address in full"
    if "#" in uri:
        return "has a fragment; drop it"
    if not _ALLOWED.fullmatch(uri) or _BROKEN_ESCAPE.search(uri):
        return "has a character that is not allowed in an address (RFC 3986)"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if not host or parts.scheme not in ("https", "http") or not uri.startswith(f"{parts.scheme}://"):
        return "must be an absolute https address"
    if "@" in parts.netloc:
        return "has a user name; drop it"
    if port == 0 or parts.netloc.endswith(":"):
        return "has an empty or impossible port"
    if not (_is_ipv6(parts.netloc) if "[" in parts.netloc or "]" in parts.netloc else is_host(host)):
        return "has a host that is not a host name"
    if any(segment in (".", "..") for segment in parts.path.replace("%2e", ".").replace("%2E", ".").split("/")):
        return "has a path with . or .. in it; write the path it stands for"
    if parts.scheme == "http" and not (allows_loopback and is_loopback(host)):
        return "must be https" + (" (http is for loopback only)" if allows_loopback else "")
    return None


def _is_ipv6(netloc: str) -> bool:
    found = _BRACKETED.fullmatch(netloc)
    try:
        return found is not None and bool(ipaddress.IPv6Address(found[1]))
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Tell whether `text` is a host name in lower-case ASCII (RFC 1123, 2.1) or an IPv4 address."""
    return len(text) <= _MAX_HOST_LENGTH and all(_HOST_LABEL.fullmatch(label) for label in text.split("."))


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine itself (RFC 6761, 6.3; RFC 8252, 7.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def sector_of(uris: tuple[str, ...]) -> str | None:
    """Return the sector that all `uris` share, or None when their hosts differ (OpenID Connect Core 1.0, 8.1).

    On loopback the port belongs to it: there it tells portals apart as hosts do elsewhere.
    """
    hosts = {urlsplit(uri).hostname or "" for uri in uris}
    if len(hosts) != 1:
        return None
    host = hosts.pop()
    return urlsplit(uris[0]).netloc.lower() if is_loopback(host) else host


def is_urn(text: str) -> bool:
    """Tell whether `text` is a URN without components (RFC 8141, 2)."""
    return _URN.fullmatch(text) is not None
