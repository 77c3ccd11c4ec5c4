"""What a client document points at and nobody but the client's own server can say: its sector, its logo.

Asked before the document is applied, so that no transaction waits for a stranger's server.
"""

import json

from idp.agencies import logos
from idp.agencies.document import ClientDocument
from idp.agencies.logos import Logo, LogoRefused
from idp.agencies.reading import DocumentRefused
from idp.core.outbound import Outbound, OutboundRefused

MAX_SECTOR_BYTES = 65_536


def look(document: ClientDocument, outbound: Outbound) -> Logo | None:
    """Return the logo to keep for the client of `document`, if its server gave one.

    Raises DocumentRefused when `sector_identifier_uri` does not list every redirect URI (OpenID Connect Core 1.0,
    8.1) or, where there is none, the `jwks_uri` (Client-Initiated Backchannel Authentication 1.0, 4), or `logo_uri`
    leads to something that is no picture we show.
    """
    problems = []
    if problem := _problem_of_sector(document, outbound):
        problems.append(f"{document.source}: sector_identifier_uri: {problem}")
    logo = None
    if document.metadata.logo_uri is not None:
        try:
            logo = logos.fetch(outbound, document.metadata.logo_uri)
        except LogoRefused as refused:
            problems.append(f"{document.source}: logo_uri: {refused}")
    if problems:
        raise DocumentRefused(problems)
    return logo


def _problem_of_sector(document: ClientDocument, outbound: Outbound) -> str | None:
    uri = document.metadata.sector_identifier_uri
    if uri is None:
        return None
    try:
        answer = outbound.get(uri, accept="application/json", longest=MAX_SECTOR_BYTES)
    except OutboundRefused as refused:
        return f"could not be read ({refused.reason})"
    try:
        listed = json.loads(answer.body) if answer.status == 200 else None  # noqa: PLR2004 (RFC 9110, 15.3.1)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        return "must answer with a JSON list of addresses"
    if document.metadata.redirect_uris:
        return None if document.metadata.redirect_uris <= set(listed) else "does not list every redirect URI"
    # An empty list of addresses stands in every list: anybody's sector could be named.
    return None if document.metadata.jwks_uri in listed else "does not list the jwks_uri"
