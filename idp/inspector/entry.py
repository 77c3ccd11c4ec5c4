"""What is kept of one request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from idp.inspector.explanations import Explanation, explanation_of

OK: Final = "ok"
"""The outcome of a request that was answered as asked."""


class Endpoint(StrEnum):
    """Where a client, or a browser it sent, came to."""

    AUTHORIZE = "authorize"
    PAR = "par"
    TOKEN = "token"  # noqa: S105 (the name of an endpoint)
    USERINFO = "userinfo"
    INTROSPECT = "introspect"
    REVOKE = "revoke"
    LOGOUT = "logout"
    DEVICE = "device_authorization"
    BACKCHANNEL = "bc-authorize"
    SIGN_IN = "sign-in"
    """The pages between the authorization request and its answer; kept only where they ended in an error."""


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    f"/{endpoint.value}": endpoint for endpoint in Endpoint if endpoint is not Endpoint.SIGN_IN
}
"""Endpoints by their path."""
PAGES: Final = "/signin/"
"""What the paths of Endpoint.SIGN_IN begin with."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A parameter, or a header, as it may be kept.

    `length` is how many characters were sent. `value` is None where nothing of it may be kept; in one that is kept,
    `[8]` stands for eight characters that we do not know to be harmless. `is_repeated`: it was sent more than once.
    """

    length: int
    value: str | None = None
    is_repeated: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as it is stored."""
        stored: dict[str, Any] = {"length": self.length}
        if self.value is not None:
            stored["value"] = self.value
        if self.is_repeated:
            stored["repeated"] = True
        return stored

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Self:
        """Return what `document` made."""
        return cls(stored["length"], stored.get("value"), is_repeated=stored.get("repeated", False))


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of a client, redacted.

    `client_id` is a client that exists, None where the request named none; unless `is_proven`, anybody may have sent
    it under that name. `outcome` is the code of the error catalogue or OK, `oauth_error` what the portal was told.
    `parameters` has names from a closed list (`redaction`). `id` sorts as `at` does.
    """

    id: UUID
    at: datetime
    reference: str
    endpoint: Endpoint
    outcome: str
    oauth_error: str | None
    status: int
    client_id: str | None
    is_proven: bool
    parameters: Mapping[str, Shown]

    @property
    def is_failed(self) -> bool:
        """Tell whether the request was refused."""
        return self.outcome != OK

    @property
    def explanation(self) -> Explanation | None:
        """Return the rule that failed, its section and how to mend it; None where nothing failed."""
        return explanation_of(self.outcome)
