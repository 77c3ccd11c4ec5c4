"""The vocabulary of scopes and claims: which claim names a scope stands for.

Owns the closed lists that discovery advertises. Which of them a client may ask for is in its registration
(agencies), which values a citizen has is in citizens, what is sent was agreed in sso.
"""

from collections.abc import Iterable

OPENID = "openid"
# Not about data but about time: tokens go on working after the session (OpenID Connect Core 1.0, 11).
OFFLINE_ACCESS = "offline_access"

# OpenID Connect Core 1.0, 5.4, then the single-purpose scopes of this country: an agency asks for the least it needs.
CLAIMS_BY_SCOPE: dict[str, tuple[str, ...]] = {
    OPENID: (),
    OFFLINE_ACCESS: (),
    "profile": (
        "name",
        "family_name",
        "given_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
    "name": ("name", "family_name", "middle_name", "given_name"),
    "birthdate": ("birthdate",),
    "gender": ("gender",),
    "idnum": ("identification_number", "identification_number_scheme"),
    "birthplace": ("place_of_birth", "birth_registration_place"),
    "nationality": ("nationalities",),
}

SCOPES = tuple(CLAIMS_BY_SCOPE)

# Every claim about a person, in the order pages list them.
PERSON_CLAIMS: tuple[str, ...] = tuple(dict.fromkeys(name for names in CLAIMS_BY_SCOPE.values() for name in names))

# Claims that say how the sign-in went rather than who the person is; always available, never consented to.
SIGN_IN_CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash")

# The same in the words of Vietnamese law (Decree 69/2024): see citizens.assurance. Only where numbers are Vietnamese.
NATIONAL_CLAIMS = ("vn_account_level", "vn_auth_level")


def claims_of(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the claim names that `scopes` stand for, without repetition, in the order of PERSON_CLAIMS."""
    wanted = {name for scope in scopes for name in CLAIMS_BY_SCOPE.get(scope, ())}
    return tuple(name for name in PERSON_CLAIMS if name in wanted)
