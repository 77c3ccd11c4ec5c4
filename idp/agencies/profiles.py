"""The security profile of a client: what it demands of a document, and the dated exceptions from it."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from idp.agencies.metadata import SECRET_METHODS, AuthMethod, Exemption, Profile, Rule
from idp.agencies.reading import Reader
from idp.core import clock

LONGEST_EXCEPTION = timedelta(days=366)
MAX_REASON = 300
_TLS_METHODS = (AuthMethod.TLS, AuthMethod.SELF_SIGNED_TLS)


def read(reader: Reader) -> tuple[Profile, dict[Rule, Exemption]]:
    """Return the profile a document names, and its exceptions; problems go to `reader`."""
    chosen = reader.choice("profile", tuple(Profile), default=Profile.STANDARD)
    profile = Profile.STANDARD if chosen is None else Profile(chosen)
    exemptions = _exceptions(reader, profile)
    if (found := _of_require_pkce(reader)) is not None:
        if Rule.PKCE in exemptions:
            reader.refuse("require_pkce", "stands beside exceptions.pkce; keep one of them")
        exemptions[Rule.PKCE] = found
    # In one order, so that the same document always comes to the same record.
    return profile, {rule: exemptions[rule] for rule in Rule if rule in exemptions}


def demand_fapi2(reader: Reader, fields: dict[str, Any]) -> None:
    """Refuse what is weaker than the FAPI 2.0 Security Profile, 5.3.2, unless an exception lasts; fill its defaults.

    Algorithms are read from shorter lists already. Tokens are bound by the client's certificate when it
    authenticates with one, by DPoP otherwise.
    """
    today = clock.now().date()
    exempt = {rule for rule, exemption in fields["exemptions"].items() if exemption.until >= today}
    if fields["auth_method"] in SECRET_METHODS and Rule.ASYMMETRIC_AUTHENTICATION not in exempt:
        reader.refuse(
            "token_endpoint_auth_method",
            "must be private_key_jwt, tls_client_auth or self_signed_tls_client_auth with profile fapi2",
        )
    if reader.members.get("require_pushed_authorization_requests") is False and Rule.PUSHED_REQUESTS not in exempt:
        reader.refuse("require_pushed_authorization_requests", "is always true with profile fapi2; drop it")
    if not (fields["wants_dpop"] or fields["wants_tls_bound_tokens"]) and Rule.SENDER_CONSTRAINED_TOKENS not in exempt:
        binding = "wants_tls_bound_tokens" if fields["auth_method"] in _TLS_METHODS else "wants_dpop"
        fields[binding] = True


def _exceptions(reader: Reader, profile: Profile) -> dict[Rule, Exemption]:
    exceptions = reader.members.get("exceptions", {})
    if not isinstance(exceptions, Mapping):
        reader.refuse("exceptions", 'must be by rule, such as {"pkce": {"reason": "...", "until": "YYYY-MM-DD"}}')
        return {}
    found = {}
    for name, members in exceptions.items():
        if name not in tuple(Rule):
            reader.refuse(f"exceptions.{name}", f"there is no such rule; rules are {', '.join(Rule)}")
        elif profile is Profile.STANDARD and name != Rule.PKCE:
            reader.refuse(f"exceptions.{name}", "does not bind a client of profile standard; drop it")
        elif not isinstance(members, Mapping) or set(members) - {"reason", "until"}:
            reader.refuse(f"exceptions.{name}", 'must be {"reason": "...", "until": "YYYY-MM-DD"}')
        elif (exemption := _exemption(reader, f"exceptions.{name}", members)) is not None:
            found[Rule(name)] = exemption
    return found


def _of_require_pkce(reader: Reader) -> Exemption | None:
    """Read `require_pkce`, an older way to write `exceptions.pkce`."""
    required = reader.members.get("require_pkce", True)
    if required is True:
        return None
    if (
        not isinstance(required, Mapping)
        or required.get("value") is not False
        or set(required) - {"value", "reason", "until"}
    ):
        shape = '{"value": false, "reason": "...", "until": "YYYY-MM-DD"}'
        reader.refuse("require_pkce", f"must be true, or an exception with reason and last day: {shape}")
        return None
    return _exemption(reader, "require_pkce", required)


def _exemption(reader: Reader, member: str, members: Mapping[str, Any]) -> Exemption | None:
    reason = reader.text(f"{member}.reason", longest=MAX_REASON, value=members.get("reason") or "")
    try:
        until = date.fromisoformat(members.get("until", ""))
    except (TypeError, ValueError):
        reader.refuse(f"{member}.until", "must be the last day of the exception, as YYYY-MM-DD")
        return None
    if until > clock.now().date() + LONGEST_EXCEPTION:
        reader.refuse(f"{member}.until", f"must be at most {LONGEST_EXCEPTION.days} days ahead")
    return Exemption(until, reason or "")
