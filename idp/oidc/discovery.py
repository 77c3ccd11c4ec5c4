"""The provider's metadata (OpenID Connect Discovery 1.0, 3; RFC 8414, 2): what works, and nothing else."""

from typing import Any

from idp.agencies.metadata import AuthMethod
from idp.core.i18n import LANGUAGES
from idp.core.levels import ACR_VALUES
from idp.core.scopes import PERSON_CLAIMS, SCOPES, SIGN_IN_CLAIMS
from idp.core.settings import Settings
from idp.keys.jose import CLIENT_ALGORITHMS, SIGNING_ALGORITHMS


def document(settings: Settings) -> dict[str, Any]:
    """Return the metadata document of this provider."""
    issuer = settings.issuer
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "introspection_endpoint": f"{issuer}/introspect",
        "end_session_endpoint": f"{issuer}/logout",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "acr_values_supported": list(ACR_VALUES),
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "token_endpoint_auth_methods_supported": [method.value for method in AuthMethod],
        "token_endpoint_auth_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": [method.value for method in AuthMethod],
        "introspection_endpoint_auth_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
        "display_values_supported": ["page"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*SIGN_IN_CLAIMS, *PERSON_CLAIMS],
        "ui_locales_supported": list(LANGUAGES),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": False,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
