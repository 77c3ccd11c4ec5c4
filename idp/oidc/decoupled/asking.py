"""What the two endpoints that ask have in common: who asks, and what may be asked for.

A rule that an authorization request has too is its rule, from `oidc.checks`. What belongs to a browser (redirect URI,
PKCE, state, prompt) has no meaning here and is ignored like any unknown parameter (RFC 6749, 3.2): these requests come
from an authenticated client, and whether a page is shown is not up to it.
"""

from collections.abc import Callable, Collection

from idp.agencies.clients import Client
from idp.agencies.metadata import GrantType
from idp.core import errors
from idp.core.errors import ProtocolFailure
from idp.core.parameters import Parameters
from idp.oidc import checks, client_auth
from idp.oidc.caller import Caller
from idp.oidc.checks import Draft
from idp.sso.services import Services

ASKS_A_MINUTE = 600
COMMON_CHECKS: tuple[Callable[[Draft], None], ...] = (
    checks.the_way_it_came_is_allowed,
    checks.values_are_short,
    checks.scopes_are_registered,
    checks.max_age_is_seconds,
    checks.claims_are_readable,
    checks.level_is_chosen,
    checks.hint_is_ours,
    checks.resource_is_registered,
)


def authenticate(form: Parameters, grant_type: GrantType, *, caller: Caller, provider: Services) -> Client:
    """Return the client that asks. Raises ProtocolFailure; side effect: counts the request against the client."""
    if form.repeated:
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
    client = client_auth.authenticate(caller, form, provider=provider)
    if grant_type not in client.grant_types:
        raise ProtocolFailure(errors.GRANT_TYPE_NOT_REGISTERED)
    counted = f"{grant_type} {client.client_id}"
    if not provider.limiter.hit("decoupled", counted, amount=ASKS_A_MINUTE, per_seconds=60).is_allowed:
        raise ProtocolFailure(errors.DECOUPLED_THROTTLED)
    return client


def draft(
    form: Parameters, client: Client, names: Collection[str], *, is_signed: bool = False, provider: Services
) -> Draft:
    """Return the draft of a request from those parameters that have a meaning here, checked. Raises ProtocolFailure.

    `is_signed` says that `form` is what stood in a request object.
    """
    for name, entry in (
        ("request", errors.REQUEST_OBJECT_UNSUPPORTED),
        ("request_uri", errors.REQUEST_URI_UNSUPPORTED),
    ):
        # Ignoring one would be unsafe: it may say less than the parameters beside it.
        if name in form:
            raise ProtocolFailure(entry)
    parameters = Parameters({name: form[name] for name in names if name in form}, frozenset())
    # The client brought it itself and has proven who it is: that is all that pushing a request proves.
    made = Draft(parameters, provider, found_client=client, is_pushed=True, is_signed=is_signed)
    for check in COMMON_CHECKS:
        check(made)
    return made
