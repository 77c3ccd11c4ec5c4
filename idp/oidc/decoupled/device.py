"""The device authorization endpoint (RFC 8628, 3.1 and 3.2)."""

from typing import Any
from urllib.parse import urlencode

from idp.agencies.metadata import GrantType
from idp.core.parameters import Parameters
from idp.oidc import checks
from idp.oidc.caller import Caller
from idp.oidc.decoupled import asking, pending
from idp.oidc.decoupled.models import Kind
from idp.sso.services import Services

LIFETIME = 600
_PARAMETERS = ("scope", "acr_values", "claims", "max_age", "nonce", "ui_locales", "resource")


def answer(form: Parameters, *, caller: Caller, provider: Services) -> dict[str, Any]:
    """Return the device authorization response. Raises ProtocolFailure.

    `nonce` is an extension: a device that sends one finds it in the ID token, as with any other flow.
    """
    client = asking.authenticate(form, GrantType.DEVICE, caller=caller, provider=provider)
    draft = asking.draft(form, client, _PARAMETERS, provider=provider)
    device_code, user_code = pending.store(
        Kind.DEVICE, client, checks.request_of(draft), lifetime=LIFETIME, keyring=provider.keyring
    )
    address = f"{provider.settings.issuer}/device"
    return {
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": address,
        "verification_uri_complete": f"{address}?{urlencode({'user_code': user_code})}",
        "expires_in": LIFETIME,
        "interval": pending.INTERVAL,
    }
