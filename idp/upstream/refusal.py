"""Why a sign-in by a provider was refused: one word each, for the event and the page."""

from enum import StrEnum


class Reason(StrEnum):
    """Every refusal there is. The words are in the audit trail: a name is never reused."""

    # The journey.
    CANCELLED = "cancelled"
    PROVIDER_ERROR = "provider-error"
    BROWSER = "browser-lost"
    CLOSED = "provider-closed"
    MIXED_UP = "other-provider"
    CODE_MISSING = "code-missing"
    RESPONSE_ISSUER = "response-issuer"
    # Its machines.
    UNREACHABLE = "unreachable"
    CROWDED = "crowded"
    METADATA = "metadata"
    TOKEN_RESPONSE = "token-response"  # noqa: S105 (a word)
    # What it said.
    ENCRYPTION = "id-token-encryption"
    SIGNATURE = "id-token-signature"
    ISSUER = "id-token-issuer"
    AUDIENCE = "id-token-audience"
    TIME = "id-token-time"
    NONCE = "id-token-nonce"
    ACCESS_TOKEN_HASH = "id-token-at-hash"  # noqa: S105
    SUBJECT = "id-token-subject"
    AUTHENTICATED_AT = "id-token-auth-time"
    USERINFO = "userinfo"
    USERINFO_ENCRYPTION = "userinfo-encryption"
    USERINFO_SIGNATURE = "userinfo-signature"
    USERINFO_SUBJECT = "userinfo-subject"
    LEVEL_NOT_ALLOWED = "level-not-allowed"
    LEVEL_TOO_LOW = "level-too-low"
    REPLAYED = "logout-token-replayed"
    # Whom it named.
    CLAIMS = "claims"
    NUMBER_CHANGED = "number-changed"
    MISMATCH = "register-mismatch"
    AMBIGUOUS = "register-ambiguous"
    DECEASED = "register-deceased"
    LOCKED = "register-locked"
    REGISTER_SILENT = "register-silent"
    DISABLED = "account-disabled"
    BLOCKED = "blocked-by-citizen"


DONE = "done"

# What the citizen is told: the last part of `upstream.refused.*` in the catalogues. All that only a defect or an
# attack explains is told in the same words.
_TOLD = {
    Reason.CANCELLED: "cancelled",
    Reason.PROVIDER_ERROR: "unavailable",
    Reason.CLOSED: "closed",
    Reason.UNREACHABLE: "unavailable",
    Reason.CROWDED: "unavailable",
    Reason.METADATA: "unavailable",
    Reason.TOKEN_RESPONSE: "unavailable",
    Reason.LEVEL_NOT_ALLOWED: "level",
    Reason.LEVEL_TOO_LOW: "level",
    Reason.CLAIMS: "incomplete",
    Reason.NUMBER_CHANGED: "other-person",
    Reason.MISMATCH: "mismatch",
    Reason.AMBIGUOUS: "ambiguous",
    Reason.DECEASED: "deceased",
    Reason.LOCKED: "locked",
    Reason.REGISTER_SILENT: "silent",
    Reason.DISABLED: "disabled",
    Reason.BLOCKED: "blocked",
}


class UpstreamRefused(Exception):
    """The sign-in by a provider goes no further; the message is the reason and quotes nothing."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def told(word: str) -> str | None:
    """Return which message a page shows for an outcome on record; None when nothing was refused."""
    return _TOLD.get(Reason(word), "untrusted") if word in set(Reason) else None
