"""The addresses in a client document: where browsers may go, what we may ask, and which identity they stand for."""

from urllib.parse import urlsplit

from idp.agencies import uris
from idp.agencies.reading import LANGUAGES, Reader

MAX_URI_LENGTH = 2_000
MAX_URIS = 20


def listed(reader: Reader, member: str, *, is_sandbox: bool) -> tuple[str, ...]:
    """Return the addresses in the list `member` that browsers may be sent to; none when one is refused."""
    found = reader.texts_of_list(member, most=MAX_URIS, longest=MAX_URI_LENGTH)
    for number, uri in enumerate(found):
        if problem := uris.problem_of(uri, allows_loopback=is_sandbox):
            reader.refuse(f"{member}[{number}]", problem)
    return () if reader.has_problem(member) else found


def single(reader: Reader, member: str, *, is_sandbox: bool) -> str | None:
    """Return the address in `member`, None when absent."""
    uri = reader.text(member, longest=MAX_URI_LENGTH)
    if uri is not None and (problem := uris.problem_of(uri, allows_loopback=is_sandbox)):
        reader.refuse(member, problem)
    return uri


def by_language(reader: Reader, member: str, *, is_sandbox: bool) -> dict[str, str]:
    """Return the addresses in `member` and `member#LANGUAGE`; whoever reads no Vietnamese gets the plain one."""
    found = reader.by_language(member, longest=MAX_URI_LENGTH)
    for language, uri in found.items():
        written = f"{member}#{language}" if f"{member}#{language}" in reader.members else member
        if problem := uris.problem_of(uri, allows_loopback=is_sandbox):
            reader.refuse(written, problem)
    return {language: found[language] for language in LANGUAGES if language in found}


def sector(reader: Reader, redirect_uris: tuple[str, ...], *, is_sandbox: bool) -> tuple[str, str | None]:
    """Return the sector that decides about `sub`, and the `sector_identifier_uri` it came from, if it did.

    Whether that address lists the redirect URIs is checked by whoever can ask it (OpenID Connect Core 1.0, 8.1).
    """
    uri = single(reader, "sector_identifier_uri", is_sandbox=is_sandbox)
    named = reader.members.get("sector_identifier")
    if uri is not None:
        of_uri = "" if reader.has_problem("sector_identifier_uri") else uris.sector_of((uri,)) or ""
        if named not in (None, of_uri):
            reader.refuse("sector_identifier", "differs from the host of sector_identifier_uri; drop one of them")
        return of_uri, uri
    if named is None:
        shared = uris.sector_of(redirect_uris) if redirect_uris else ""
        if shared is None:
            reader.refuse("sector_identifier", "is needed because the redirect URIs have several hosts; name one host")
        elif not redirect_uris and not reader.has_problem("redirect_uris"):
            reader.refuse("sector_identifier", "is needed because there are no redirect URIs; name a host of yours")
        return shared or "", None
    if not isinstance(named, str) or not uris.is_host(named):
        reader.refuse("sector_identifier", "must be a host name in small letters, without scheme, port or path")
    return str(named), None


def logout(reader: Reader, redirect_uris: tuple[str, ...], *, is_sandbox: bool) -> dict[str, object]:
    """Return the fields about being told of a logout (Back-Channel 1.0, 2.2; Front-Channel 1.0, 2)."""
    fields: dict[str, object] = {}
    for channel in ("backchannel", "frontchannel"):
        uri = single(reader, f"{channel}_logout_uri", is_sandbox=is_sandbox)
        wants_sid = reader.flag(f"{channel}_logout_session_required")
        if wants_sid and uri is None and not reader.has_problem(f"{channel}_logout_uri"):
            reader.refuse(f"{channel}_logout_session_required", f"is only used with {channel}_logout_uri; drop it")
        fields[f"{channel}_logout_uri"] = uri
        fields[f"wants_{channel}_sid"] = wants_sid
    front = fields["frontchannel_logout_uri"]
    if isinstance(front, str) and not reader.has_problem("frontchannel_logout_uri"):
        # Front-Channel Logout 1.0, 2: it is loaded into a page of ours, so it must be a place the client proved.
        origins = {urlsplit(uri)[:2] for uri in redirect_uris}
        if redirect_uris and urlsplit(front)[:2] not in origins:
            reader.refuse("frontchannel_logout_uri", "must have scheme, host and port of a redirect URI")
    return fields


def resources(reader: Reader, member: str, *, is_sandbox: bool) -> tuple[str, ...]:
    """Return the resource identifiers in `member`: absolute URIs without fragment (RFC 8707, 2)."""
    found = reader.texts_of_list(member, most=MAX_URIS, longest=MAX_URI_LENGTH)
    for number, identifier in enumerate(found):
        if uris.is_urn(identifier):
            continue
        if problem := uris.problem_of(identifier, allows_loopback=is_sandbox):
            reader.refuse(f"{member}[{number}]", f"{problem} or a urn")
    return () if reader.has_problem(member) else found
