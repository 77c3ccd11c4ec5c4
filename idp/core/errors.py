"""The error catalogue: every refusal has one entry here.

Owns code, HTTP status and OAuth error of each; the words for people are in the catalogues (`error.CODE.title`,
`.message`, `.advice`), the plain ASCII sentence for the portal's developer is the `description`. Codes are never
reused: PR is protocol, ID is identity and sign-in, OP is operations. Only the edge (core.web, oidc.views) turns a
failure into bytes. Descriptions never contain anything from the request: quotes and control characters are
forbidden there (RFC 6749, 4.1.2.1 and 5.2), and input must not travel into logs and pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue. `oauth_error` is None where no portal can be told."""

    code: str
    status: int
    oauth_error: str | None = None
    description: str = ""


class Failure(Exception):
    """A refusal shown to a person as a page with code and reference."""

    def __init__(self, entry: Entry, *, retry_after: int | None = None) -> None:
        super().__init__(entry.code)
        self.entry = entry
        self.retry_after = retry_after


class ProtocolFailure(Exception):
    """A refusal told to a portal as an OAuth error (redirect, or JSON from token, userinfo and kin).

    `entry.oauth_error` is always set. `challenge` is the scheme for `WWW-Authenticate` on a 401, `headers` are more
    headers of the answer.
    """

    def __init__(self, entry: Entry, *, challenge: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{entry.code} {entry.oauth_error}")
        self.entry = entry
        self.challenge = challenge
        self.headers = headers or {}


# --- pages: before client and redirect URI are proven (OpenID Connect Core 1.0, 3.1.2.6) ---
UNKNOWN_CLIENT = Entry("PR-001", 400)
FOREIGN_REDIRECT_URI = Entry("PR-002", 400)
MALFORMED_REQUEST = Entry("PR-003", 400)
REQUEST_TOO_LARGE = Entry("PR-004", 413)
SUSPENDED_CLIENT = Entry("PR-005", 403)
LOGOUT_REFUSED = Entry("PR-006", 400)
PUSHED_REQUEST_LOST = Entry("PR-007", 400)
REQUEST_OBJECT_UNREADABLE = Entry("PR-008", 400)

# --- pages: the citizen's way ---
FLOW_LOST = Entry("ID-001", 400)
FLOW_EXPIRED = Entry("ID-002", 400)
ACCOUNT_UNUSABLE = Entry("ID-003", 403, "access_denied", "The account cannot be used")
IDENTITY_UNCONFIRMED = Entry("ID-004", 403, "access_denied", "The identity could not be confirmed")
REGISTRY_SILENT = Entry("ID-005", 503, "temporarily_unavailable", "The national register did not answer")
LEVEL_UNREACHABLE = Entry(
    "ID-006", 403, "unmet_authentication_requirements", "The essential acr cannot be met by this account"
)
FLOW_FINISHED = Entry("ID-007", 400)
FORM_EXPIRED = Entry("ID-008", 400)
RETURN_UNKNOWN = Entry("ID-201", 400)
ACCOUNT_LOCKED = Entry("ID-021", 403, "access_denied", "The account cannot be used")
REPORT_LINK_OVER = Entry("ID-022", 404)
INVITATION_OVER = Entry("ID-041", 404)
REQUEST_ANSWERED = Entry("ID-101", 400)
REQUEST_EXPIRED = Entry("ID-102", 400)
REQUEST_OF_ANOTHER = Entry("ID-103", 403)

# --- pages: operations ---
INTERNAL = Entry("OP-001", 500, "server_error", "The provider failed; quote the reference")
BUSY = Entry("OP-002", 503, "temporarily_unavailable", "The provider is busy; try again in a minute")
NOT_FOUND = Entry("OP-003", 404)
METHOD_NOT_ALLOWED = Entry("OP-004", 405)
TOO_MANY_REQUESTS = Entry("OP-005", 429, "temporarily_unavailable", "Too many requests; slow down")


def _request(code: str, error: str, description: str, status: int = 400) -> Entry:
    return Entry(code, status, error, description)


# --- authorization endpoint, once client and redirect URI are proven ---
DUPLICATE_PARAMETER = _request("PR-101", "invalid_request", "A parameter is given more than once")
RESPONSE_TYPE_MISSING = _request("PR-102", "invalid_request", "response_type is missing")
RESPONSE_TYPE_UNSUPPORTED = _request("PR-103", "unsupported_response_type", "Only response_type=code is supported")
RESPONSE_MODE_UNSUPPORTED = _request(
    "PR-104", "invalid_request", "response_mode must be query, form_post, jwt, query.jwt or form_post.jwt"
)
SCOPE_WITHOUT_OPENID = _request("PR-105", "invalid_scope", "scope must contain openid")
SCOPE_NOT_GRANTED = _request("PR-106", "invalid_scope", "A scope is not registered for this client")
PROMPT_INVALID = _request("PR-107", "invalid_request", "prompt is unknown, or combines none with other values")
MAX_AGE_INVALID = _request("PR-108", "invalid_request", "max_age must be a whole number of seconds")
CLAIMS_INVALID = _request("PR-109", "invalid_request", "claims must be a JSON object as in OpenID Connect Core 5.5")
CHALLENGE_MISSING = _request("PR-110", "invalid_request", "PKCE is required: code_challenge is missing")
CHALLENGE_INVALID = _request(
    "PR-111", "invalid_request", "code_challenge must be an S256 challenge: 43 base64url signs"
)
REQUEST_OBJECT_UNSUPPORTED = _request("PR-112", "request_not_supported", "The client has no key for request objects")
REQUEST_URI_UNSUPPORTED = _request(
    "PR-113", "request_uri_not_supported", "Only the request_uri of a pushed request works"
)
HINT_INVALID = _request("PR-114", "invalid_request", "id_token_hint is not an ID token issued here for this client")
PARAMETER_TOO_LONG = _request("PR-115", "invalid_request", "A parameter is longer than allowed")
REGISTRATION_UNSUPPORTED = _request("PR-116", "registration_not_supported", "registration is not supported")
NONCE_MISSING = _request("PR-117", "invalid_request", "This client must send a nonce")
ACR_VALUES_MISSING = _request("PR-118", "invalid_request", "This client must send a known value in acr_values")
PROMPT_NONE_REFUSED = _request("PR-119", "invalid_request", "This client is registered without prompt=none")
LOGIN_REQUIRED = _request("PR-120", "login_required", "The citizen must sign in and prompt=none forbids a page")
CONSENT_REQUIRED = _request("PR-121", "consent_required", "The citizen must agree and prompt=none forbids a page")
INTERACTION_REQUIRED = _request("PR-122", "interaction_required", "A page must be shown and prompt=none forbids it")
SELECTION_REQUIRED = _request("PR-123", "account_selection_required", "The citizen must choose an account")
IDP_HINT_REFUSED = _request("PR-134", "invalid_idp_hint", "idp_hint names no provider this client may name")
DENIED = _request("PR-124", "access_denied", "The citizen declined")

# --- requests approved on another device (RFC 8628; CIBA 1.0) ---
POLL_PENDING = _request("PR-601", "authorization_pending", "The citizen has not answered yet")
POLL_TOO_SOON = _request("PR-602", "slow_down", "Wait five seconds longer between two polls from now on")
POLL_EXPIRED = _request("PR-603", "expired_token", "The time to answer is over; ask again")
POLL_DENIED = _request("PR-604", "access_denied", "The citizen declined, or signed out before this request")
DEVICE_CODE_MISSING = _request("PR-605", "invalid_request", "device_code is missing")
DEVICE_CODE_REFUSED = _request("PR-606", "invalid_grant", "The device_code is unknown, or was issued to another client")
AUTH_REQ_ID_MISSING = _request("PR-607", "invalid_request", "auth_req_id is missing")
AUTH_REQ_ID_REFUSED = _request("PR-608", "invalid_grant", "The auth_req_id is unknown, or was issued to another client")
HINTS_NOT_ONE = _request("PR-609", "invalid_request", "Exactly one of login_hint and id_token_hint must be given")
HINT_TOKEN_UNSUPPORTED = _request("PR-610", "invalid_request", "login_hint_token is not supported")
BINDING_MESSAGE_INVALID = _request(
    "PR-611", "invalid_binding_message", "binding_message must be 1 to 20 Latin letters, digits, spaces or - . : / #"
)
EXPIRY_INVALID = _request("PR-612", "invalid_request", "requested_expiry must be a positive whole number of seconds")
USER_CODE_UNSUPPORTED = _request("PR-613", "invalid_request", "user_code is not supported")
NOTIFICATION_UNSUPPORTED = _request("PR-614", "invalid_request", "Only poll mode is supported: send no token for it")
DECOUPLED_THROTTLED = Entry("PR-615", 429, "temporarily_unavailable", "Too many requests of this client; wait a minute")

REQUEST_OBJECT_INVALID = _request(
    "PR-125",
    "invalid_request_object",
    "The request object must be signed by a registered key, with iss and client_id of the client and aud of the issuer",
)
REQUEST_OBJECT_EXPIRED = _request("PR-126", "invalid_request_object", "The request object is over, or not yet valid")
REQUEST_OBJECT_UNBOUNDED = _request(
    "PR-127", "invalid_request_object", "The request object needs nbf and exp, at most 60 minutes apart and old"
)
REQUEST_OBJECT_MISSING = _request("PR-128", "invalid_request", "This client must send a signed request object")
PUSH_REQUIRED = _request("PR-129", "invalid_request", "This client must push its authorization requests (RFC 9126)")
REQUEST_URI_PUSHED = _request("PR-130", "invalid_request", "request_uri must not be part of a pushed request")
REDIRECT_URI_UNREGISTERED = _request(
    "PR-131", "invalid_request", "redirect_uri is missing, or not one that the client registered"
)
DPOP_JKT_INVALID = _request("PR-132", "invalid_request", "dpop_jkt must be a SHA-256 thumbprint: 43 base64url signs")
TARGET_UNKNOWN = _request("PR-133", "invalid_target", "resource must be one that the client is registered for")

# --- the key a token is bound to (RFC 9449; RFC 8705): at endpoints for clients, then at resources ---
PROOF_REFUSED = _request("PR-701", "invalid_dpop_proof", "The DPoP proof does not fit this request (RFC 9449, 4.3)")
PROOF_NONCE_NEEDED = _request("PR-702", "use_dpop_nonce", "Make the DPoP proof again with the nonce of this answer")
PROOF_MISSING = _request("PR-703", "invalid_dpop_proof", "This client must prove its key with a DPoP proof")
PROOF_KEY_DIFFERS = _request("PR-704", "invalid_dpop_proof", "dpop_jkt is not the key of the DPoP proof")
CERTIFICATE_MISSING = _request("PR-705", "invalid_request", "This client must come with its TLS certificate")
PRESENTED_PROOF_REFUSED = Entry(
    "PR-706", 401, "invalid_dpop_proof", "The DPoP proof does not fit this request (RFC 9449, 4.3)"
)
TOKEN_BOUND_TO_ANOTHER = Entry(
    "PR-707", 401, "invalid_token", "The access token is bound to a key that was not proven here"
)

# --- token, userinfo and other endpoints for machines ---
FORM_INVALID = _request("PR-201", "invalid_request", "The request must be a single well-formed form in the body")
CLIENT_UNAUTHENTICATED = _request("PR-202", "invalid_client", "Client authentication failed", 401)
GRANT_TYPE_UNSUPPORTED = _request("PR-203", "unsupported_grant_type", "This grant_type is not supported")
GRANT_TYPE_NOT_REGISTERED = _request(
    "PR-204", "unauthorized_client", "The client is not registered for this grant_type"
)
CODE_MISSING = _request("PR-205", "invalid_request", "code is missing")
CODE_REFUSED = _request("PR-206", "invalid_grant", "The code is unknown, expired, used, or bound to another request")
VERIFIER_REFUSED = _request("PR-207", "invalid_grant", "code_verifier does not match the code_challenge")
REDIRECT_URI_MISSING = _request("PR-208", "invalid_request", "redirect_uri is missing")
REDIRECT_URI_DIFFERS = _request("PR-209", "invalid_grant", "redirect_uri differs from the authorization request")
GRANT_TYPE_MISSING = _request("PR-210", "invalid_request", "grant_type is missing")
VERIFIER_MALFORMED = _request("PR-211", "invalid_request", "code_verifier must be 43 to 128 unreserved characters")
TOKEN_MISSING = Entry("PR-220", 401, "invalid_request", "No bearer token in the Authorization header")
TOKEN_REFUSED = Entry("PR-221", 401, "invalid_token", "The access token is unknown, expired or revoked")
TOKEN_PARAMETER_MISSING = _request("PR-225", "invalid_request", "token is missing")
TOKEN_TWICE = _request("PR-222", "invalid_request", "Send the access token in one way only: the Authorization header")
SCOPE_INSUFFICIENT = Entry("PR-223", 403, "insufficient_scope", "The access token has no openid scope")
REFRESH_TOKEN_MISSING = _request("PR-212", "invalid_request", "refresh_token is missing")
REFRESH_TOKEN_REFUSED = _request(
    "PR-213", "invalid_grant", "The refresh token is unknown, expired, revoked, used, or another client's"
)
SCOPE_EXCEEDS_GRANT = _request("PR-214", "invalid_scope", "scope may only narrow what the citizen agreed to")
TARGET_INVALID = _request(
    "PR-215", "invalid_target", "resource must be one that the client is registered for and the citizen agreed to"
)
CLIENT_KEY_MISSING = _request(
    "PR-216", "server_error", "The answer must be encrypted and the client publishes no key that fits", 500
)
TOKEN_OF_ANOTHER = _request("PR-226", "unauthorized_client", "The token was issued to another client")
CLIENT_TOO_OFTEN = Entry("PR-227", 429, "temporarily_unavailable", "Too many requests of this client; slow down")
CLIENT_THROTTLED = Entry("PR-224", 429, "invalid_client", "Too many failed client authentications; wait a minute")

# --- client registration (RFC 7591, 3.2.2; RFC 7592) ---
REGISTRATION_MALFORMED = _request(
    "PR-401", "invalid_client_metadata", "The body must be one JSON object with distinct members"
)
METADATA_REFUSED = _request("PR-402", "invalid_client_metadata", "The metadata cannot be registered")
REDIRECT_URIS_REFUSED = _request("PR-403", "invalid_redirect_uri", "A redirect URI cannot be registered")
SOFTWARE_STATEMENT_REFUSED = _request(
    "PR-404", "unapproved_software_statement", "Software statements are not accepted; send plain members"
)
INITIAL_TOKEN_REFUSED = _request(
    "PR-405", "invalid_token", "The initial access token is missing, unknown, used up, expired or revoked", 401
)
REGISTRATION_TOKEN_REFUSED = _request(
    "PR-406", "invalid_token", "The registration access token is missing or not this client's", 401
)
