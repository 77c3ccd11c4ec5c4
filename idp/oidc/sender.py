"""Sender constraint. (Placeholder of the lead so that the tree imports; helper SENDER replaces the whole file.)"""

import re
from dataclasses import dataclass

from idp.agencies.clients import Client
from idp.core import errors
from idp.core.errors import ProtocolFailure
from idp.oidc.caller import Caller
from idp.sso.services import Services

_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)")


@dataclass(frozen=True, slots=True)
class Presented:
    """A token as it was presented."""

    scheme: str
    token: str


def confirm(caller: Caller, client: Client, *, provider: Services, wants_nonce: bool = True) -> str:
    """Return the key the caller proved."""
    return ""


def confirm_pushed(caller: Caller, client: Client, dpop_jkt: str | None, *, provider: Services) -> str:
    """Return the key a pushed request is bound to."""
    return f"jkt:{dpop_jkt}" if dpop_jkt else ""


def token_type(confirmation: str) -> str:
    """Return the token type."""
    return "DPoP" if confirmation.startswith("jkt:") else "Bearer"


def cnf(confirmation: str) -> dict[str, str]:
    """Return the cnf member."""
    kind, _, value = confirmation.partition(":")
    return {{"jkt": "jkt", "x5t": "x5t#S256"}[kind]: value} if value else {}


def nonce_header(caller: Caller, *, provider: Services) -> dict[str, str]:
    """Return the nonce header."""
    return {}


def presented(caller: Caller) -> Presented:
    """Return the token presented."""
    token = _BEARER.fullmatch(caller.authorization or "")
    if token is None:
        raise ProtocolFailure(
            errors.TOKEN_MISSING if not caller.authorization else errors.TOKEN_REFUSED, challenge="Bearer"
        )
    return Presented("Bearer", token[1])


def check_presented(presented: Presented, confirmation: str, caller: Caller, *, provider: Services) -> None:
    """Check the binding."""
