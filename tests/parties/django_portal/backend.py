"""What mozilla-django-oidc leaves to the portal: whose token it is, who the person is, and signing out there."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from mozilla_django_oidc.auth import OIDCAuthenticationBackend


class LienKetBackend(OIDCAuthenticationBackend):
    """Recognise people by `sub`, and take only tokens of LienKet for this portal, of the level asked for."""

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        # The library checks signature, expiry and nonce; issuer, audience and level are left to the portal.
        claims = super().verify_token(token, **kwargs)
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims["iss"] != settings.ISSUER or settings.OIDC_RP_CLIENT_ID not in audience:
            raise SuspiciousOperation("a token of somebody else, or for somebody else")
        if claims.get("acr") not in {"loa2", "loa3"}:
            raise SuspiciousOperation("the sign-in was weaker than asked for")
        return claims

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        return "sub" in claims

    # Never by e-mail, which is the library's habit: an address can change hands.
    def filter_users_by_claims(self, claims: dict[str, Any]) -> Any:
        return self.UserModel.objects.filter(username=claims["sub"])

    def get_username(self, claims: dict[str, Any]) -> str:
        return claims["sub"]

    def get_userinfo(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        person = super().get_userinfo(access_token, id_token, payload)
        if person["sub"] != payload["sub"]:
            raise SuspiciousOperation("UserInfo about somebody else")
        return person

    def create_user(self, claims: dict[str, Any]) -> Any:
        return self.update_user(super().create_user(claims), claims)

    def update_user(self, user: Any, claims: dict[str, Any]) -> Any:
        user.last_name = claims["name"]
        user.email = claims.get("email", "")
        user.save()
        return user


def logout_address(request: Any) -> str:
    """Return where the browser signs out at LienKet (OIDC_OP_LOGOUT_URL_METHOD)."""
    return f"{settings.ISSUER}/logout?" + urlencode(
        {
            "id_token_hint": request.session["oidc_id_token"],
            "post_logout_redirect_uri": request.build_absolute_uri(settings.LOGOUT_REDIRECT_URL),
        }
    )
