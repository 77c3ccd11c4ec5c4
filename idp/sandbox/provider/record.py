"""What the two sides have on record of each other."""

from typing import Any, Final

from idp.sandbox.provider.identity import LEVELS
from idp.sandbox.provider.protocol import Registration

CLIENT_ID: Final = "lienket"
SLUG: Final = "thu-nghiem"
NAMES: Final = {"vi": "Nhà cung cấp thử nghiệm", "en": "Test provider", "fr": "Fournisseur d’essai"}
_DESCRIPTIONS: Final = {
    "vi": "Bạn chọn ai đăng nhập và lỗi nào xảy ra; mọi thứ ở đó đều hư cấu",
    "en": "You choose who signs in and what goes wrong; everything there is invented",
    "fr": "Vous choisissez qui se connecte et ce qui échoue ; tout y est inventé",
}


def registration(ours: str, slug: str, secret: str) -> Registration:
    """Return the client: the provider whose issuer is `ours` and which calls this one `slug`."""
    home = f"{ours}/upstream/{slug}"
    return Registration(CLIENT_ID, secret, (f"{home}/callback",), (f"{home}/signed-out",))


def provider_document(issuer: str, slug: str, secret: str) -> dict[str, Any]:
    """Return the document that `idp upstream add` reads. Every level is believed: that is what it is for."""
    return {
        "slug": slug,
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": secret,
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid name birthdate gender idnum",
        "levels": {word: word for word in LEVELS if word},
        "ceiling": "loa3",
        "amr": ["pwd", "otp", "sms", "mfa", "hwk", "swk", "fpt", "face"],
        "iss_parameter": True,
        "end_session": True,
        "order": 200,
        "name": NAMES,
        "description": _DESCRIPTIONS,
    }
