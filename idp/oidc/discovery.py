"""The provider's metadata (OpenID Connect Discovery 1.0, 3; RFC 8414, 2): what works, and nothing else."""

from typing import Any

from idp.agencies.metadata import GrantType
from idp.citizens import verified_claims
from idp.citizens.numbers import VN_PIN
from idp.core.i18n import LANGUAGES
from idp.core.levels import ACR_VALUES
from idp.core.scopes import NATIONAL_CLAIMS, PERSON_CLAIMS, SCOPES, SIGN_IN_CLAIMS
from idp.core.settings import Registers, Settings
from idp.keys import proof
from idp.keys.encryption import CONTENT_ALGORITHMS, KEY_ALGORITHMS
from idp.keys.jose import CLIENT_ALGORITHMS, SIGNING_ALGORITHMS
from idp.oidc import client_auth
from idp.oidc.responses import RESPONSE_MODES

# A browser that opened one of these would be asked for a certificate.
_FOR_BROWSERS = frozenset({"authorization_endpoint", "end_session_endpoint"})


def document(settings: Settings) -> dict[str, Any]:
    """Return the metadata document of this provider."""
    issuer = settings.issuer
    methods = [method.value for method in client_auth.methods(settings)]
    found: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "end_session_endpoint": f"{issuer}/logout",
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "backchannel_authentication_endpoint": f"{issuer}/bc-authorize",
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_authentication_request_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
        "backchannel_user_code_parameter_supported": False,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": [grant.value for grant in GrantType],
        "acr_values_supported": list(ACR_VALUES),
        "subject_types_supported": ["pairwise"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*SIGN_IN_CLAIMS, *_national(settings), *PERSON_CLAIMS],
        "claims_parameter_supported": True,
        **_assurance(settings),
        "display_values_supported": ["page"],
        "ui_locales_supported": list(LANGUAGES),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": False,
        "require_pushed_authorization_requests": False,
        "request_object_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "authorization_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        **_authentication("token", methods),
        **_authentication("introspection", methods),
        **_authentication("revocation", methods),
        "dpop_signing_alg_values_supported": list(proof.ALGORITHMS),
        "id_token_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        **_encryption("id_token"),
        "userinfo_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        **_encryption("userinfo"),
        "introspection_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        **_encryption("introspection"),
        "tls_client_certificate_bound_access_tokens": settings.mtls_origin is not None,
    }
    if settings.mtls_origin is not None:
        # RFC 8705, 5.
        found["mtls_endpoint_aliases"] = {
            name: settings.mtls_origin + address.removeprefix(issuer)
            for name, address in found.items()
            if name.endswith("_endpoint") and name not in _FOR_BROWSERS
        }
    if settings.registers_clients is not Registers.OFF:
        found["registration_endpoint"] = f"{issuer}/register"
    return found


def _national(settings: Settings) -> tuple[str, ...]:
    return NATIONAL_CLAIMS if settings.number_scheme == VN_PIN else ()


def _assurance(settings: Settings) -> dict[str, Any]:
    """Return the members of OpenID Connect for Identity Assurance 1.0, 8; its drafts had the first of them."""
    if settings.number_scheme != VN_PIN:
        return {}
    return {
        "verified_claims_supported": True,
        "trust_frameworks_supported": [verified_claims.TRUST_FRAMEWORK],
        "evidence_supported": [verified_claims.EVIDENCE],
        "electronic_records_supported": [verified_claims.RECORD],
        "claims_in_verified_claims_supported": list(verified_claims.CLAIMS),
    }


def _authentication(endpoint: str, methods: list[str]) -> dict[str, Any]:
    return {
        f"{endpoint}_endpoint_auth_methods_supported": methods,
        f"{endpoint}_endpoint_auth_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
    }


def _encryption(answer: str) -> dict[str, Any]:
    return {
        f"{answer}_encryption_alg_values_supported": list(KEY_ALGORITHMS),
        f"{answer}_encryption_enc_values_supported": list(CONTENT_ALGORITHMS),
    }
