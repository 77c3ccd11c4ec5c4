"""Signing in to the provider's own pages, for which there is no portal.

An interaction needs somebody it is for. The provider is not a client that a directory knows: a row in the table of
clients could be asked for at /authorize, suspended, or outlive a change of the issuer. It is a record made of the
settings, which no endpoint for portals can find; its interactions have no client, and end without a code.
"""

from dataclasses import replace
from functools import cache
from uuid import UUID

from idp.agencies.clients import Client
from idp.agencies.metadata import AuthMethod, Basis
from idp.core.i18n import LANGUAGES
from idp.core.levels import Level
from idp.core.scopes import OPENID
from idp.core.settings import Settings
from idp.sso.request import AuthorizationRequest, Prompt, ResponseMode


@cache
def own_client(settings: Settings) -> Client:
    """Return the provider as the one whom an interaction of its own pages is for."""
    return Client(
        id=UUID(int=0),
        client_id="",
        version=1,
        is_active=True,
        agency_slug="",
        agency_names=dict.fromkeys(LANGUAGES, settings.service_name),
        secrets=(),
        names=dict.fromkeys(LANGUAGES, settings.service_name),
        client_uri=settings.issuer + "/",
        policy_uris={},
        tos_uris={},
        contacts=(),
        redirect_uris=frozenset(),
        post_logout_redirect_uris=frozenset(),
        sector="",
        scopes=(OPENID,),
        purposes={},
        basis=Basis.LEGAL,
        legal_bases={},
        default_level=None,
        auth_method=AuthMethod.PRIVATE_KEY_JWT,
        auth_signing_algorithms=(),
        jwks=None,
        id_token_algorithm="ES256",  # noqa: S106 (an algorithm)
        software_id=None,
        software_version=None,
    )


def own_request(path: str, *, level: Level = Level.LOA1) -> AuthorizationRequest:
    """Return the request that leads, once signed in, to the page of ours at `path`."""
    return AuthorizationRequest(
        client_id="",
        redirect_uri=path,
        scopes=(OPENID,),
        claims=(),
        id_token_claims=(),
        acr_values=(level.acr,),
        level=level,
        is_level_essential=False,
        prompt=frozenset(),
        response_mode=ResponseMode.OWN_PAGE,
    )


def own_request_with_key(path: str) -> AuthorizationRequest:
    """Return the request that leads to the page of ours at `path` for people at work: anew, and with a passkey."""
    return replace(own_request(path, level=Level.LOA3), prompt=frozenset({Prompt.LOGIN}))
