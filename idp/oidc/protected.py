"""Answers that only their reader can read: signed, then encrypted to a key of the client (RFC 7519, 11.2)."""

from collections.abc import Mapping
from typing import Any

from idp.agencies.clients import Client
from idp.agencies.metadata import Encryption
from idp.core import errors
from idp.core.errors import ProtocolFailure
from idp.keys.encryption import NoKeyFits, encrypt
from idp.sso.services import Services


def protect(
    document: Mapping[str, Any],
    client: Client,
    *,
    algorithm: str,
    encryption: Encryption | None,
    typ: str,
    provider: Services,
) -> str:
    """Return `document` as a JWT signed with `algorithm`, nested in a JWE when the client registered `encryption`.

    Raises ProtocolFailure server_error when no key of the client fits any more: what was to be encrypted is never
    sent in clear instead.
    """
    signed = provider.signing_keys.signer(algorithm).sign(document, typ=typ)
    if encryption is None:
        return signed
    try:
        keys = provider.client_keys.of(client)
        return encrypt(signed, keys, alg=encryption.alg, enc=encryption.enc, cty="JWT")
    except NoKeyFits:
        raise ProtocolFailure(errors.CLIENT_KEY_MISSING) from None
