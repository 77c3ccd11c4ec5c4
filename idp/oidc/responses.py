"""The answer to an authorization request: a redirect with code or error, state and issuer (RFC 9207)."""

from urllib.parse import quote

from idp.core.errors import Entry


def code_location(redirect_uri: str, *, code: str, state: str | None, issuer: str) -> str:
    """Return where the browser goes with a code (RFC 6749, 4.1.2)."""
    return _append(redirect_uri, {"code": code, "state": state, "iss": issuer})


def error_location(redirect_uri: str, entry: Entry, *, state: str | None, issuer: str, reference: str) -> str:
    """Return where the browser goes with an error (RFC 6749, 4.1.2.1)."""
    return _append(
        redirect_uri,
        {
            "error": entry.oauth_error or "server_error",
            "error_description": describe(entry, reference),
            "state": state,
            "iss": issuer,
        },
    )


def describe(entry: Entry, reference: str) -> str:
    """Return the sentence for the portal's developer, with the code to look up and the reference of this request."""
    return f"{entry.description} ({entry.code} {reference})"


def _append(redirect_uri: str, parameters: dict[str, str | None]) -> str:
    # The registered query is kept as it is. Values are quoted so that the portal reads `state` byte for byte.
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items() if value is not None)
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"
