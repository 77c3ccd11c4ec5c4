"""What can go wrong at a provider, as a tester chooses it."""

from enum import StrEnum


class Fault(StrEnum):
    """One way of answering; the words are in forms and in the documentation.

    DENY and SERVER_ERROR come back as errors of RFC 6749, 4.1.2.1. OUTAGE, SLOW and EXPIRED_CODE are at the token
    endpoint. WRONG_NONCE, WRONG_ISSUER, LEVEL_TOO_LOW and the two keys are in the ID token: ROTATED_KEY is new and
    published, UNPUBLISHED_KEY is nowhere. OTHER_NUMBER gives the subject the number of somebody else.
    """

    NONE = "none"
    DENY = "deny"
    SERVER_ERROR = "server-error"
    OUTAGE = "outage"
    SLOW = "slow"
    EXPIRED_CODE = "expired-code"
    WRONG_NONCE = "wrong-nonce"
    WRONG_ISSUER = "wrong-issuer"
    ROTATED_KEY = "rotated-key"
    UNPUBLISHED_KEY = "unpublished-key"
    LEVEL_TOO_LOW = "level-too-low"
    OTHER_NUMBER = "other-number"
