"""The catalogue of events, each named `source:subject:action`. A name is never reused."""

from enum import StrEnum


class Event(StrEnum):
    """Every kind of line in the audit trail."""

    CITIZEN_ENROLLED = "citizens:citizen:enrolled"
    CITIZEN_UPDATED = "citizens:citizen:updated"
    NUMBER_REPLACED = "citizens:number:replaced"
    REGISTRY_ASKED = "citizens:registry:asked"
    PASSWORD_ACCEPTED = "citizens:password:accepted"  # noqa: S105 (an event name)
    PASSWORD_REFUSED = "citizens:password:refused"  # noqa: S105
    TOTP_ACCEPTED = "citizens:totp:accepted"
    TOTP_REFUSED = "citizens:totp:refused"
    PASSKEY_ADDED = "citizens:passkey:added"
    PASSKEY_NAMED = "citizens:passkey:named"
    PASSKEY_REMOVED = "citizens:passkey:removed"
    PASSKEY_ACCEPTED = "citizens:passkey:accepted"
    PASSKEY_REFUSED = "citizens:passkey:refused"
    PASSKEY_COPIED = "citizens:passkey:copied"
    CREDENTIAL_DISABLED = "citizens:credential:disabled"
    CLIENT_APPLIED = "agencies:client:applied"
    CLIENT_REGISTERED = "agencies:client:registered"
    CLIENT_REMOVED = "agencies:client:removed"
    CLIENT_INVITED = "agencies:invitation:issued"
    INVITATION_REVOKED = "agencies:invitation:revoked"
    REGISTRATION_REFUSED = "agencies:registration:refused"
    CLIENT_SUSPENDED = "agencies:client:suspended"
    SECRET_ISSUED = "agencies:secret:issued"  # noqa: S105
    SESSION_OPENED = "sso:session:opened"
    SESSION_RAISED = "sso:session:raised"
    SESSION_ENDED = "sso:session:ended"
    CONSENT_GIVEN = "sso:consent:given"
    CONSENT_REFUSED = "sso:consent:refused"
    CONSENT_WITHDRAWN = "sso:consent:withdrawn"
    NOTICE_SHOWN = "sso:notice:shown"
    SIGN_IN_ABANDONED = "sso:interaction:abandoned"
    DEVICE_CONFIRMED = "sso:device:confirmed"
    DECOUPLED_ASKED = "oidc:decoupled:asked"
    DECOUPLED_DENIED = "oidc:decoupled:denied"
    CODE_ISSUED = "oidc:code:issued"
    CODE_REPLAYED = "oidc:code:replayed"
    TOKEN_ISSUED = "oidc:token:issued"  # noqa: S105
    TOKEN_REFRESHED = "oidc:token:refreshed"  # noqa: S105
    REFRESH_REPLAYED = "oidc:refresh:replayed"
    TOKEN_REVOKED = "oidc:token:revoked"  # noqa: S105
    REQUEST_PUSHED = "oidc:request:pushed"
    LOGOUT_CONFIRMED = "oidc:logout:confirmed"
    LOGOUT_REFUSED = "oidc:logout:refused"
    LOGOUT_GIVEN_UP = "oidc:logout:given-up"
    DATA_HANDED_OUT = "account:data:handed-out"
    KEY_CREATED = "keys:key:created"
    KEY_ACTIVATED = "keys:key:activated"
    KEY_RETIRED = "keys:key:retired"
    NOTICE_SENT = "notify:notice:sent"
    NOTICE_NOT_SENT = "notify:notice:not-sent"
    NOTICE_GIVEN_UP = "notify:notice:given-up"
    HOUSEKEEPING_DELETED = "ops:housekeeping:deleted"
