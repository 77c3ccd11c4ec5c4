"""The Foundation's RP-initiated, back-channel and front-channel logout plans against the running provider."""

import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import urlencode

import pytest
import requests
from jose import jwt
from joserfc.jwk import RSAKey

from tests.listener import Listener, listening
from tests.parties.certification.relying_party import RelyingParty, discover, register, rsa, unsigned
from tests.parties.certification.visitor import Arrived, Visitor, query_of
from tests.parties.sandbox import Sandbox

pytestmark = pytest.mark.xdist_group("certification")
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture(scope="module")
def rp(town: Sandbox) -> RelyingParty:
    """Return the plan's client."""
    return register(town.issuer, "logout")


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    """Yield a client's back-channel endpoint."""
    with listening() as opened:
        yield opened


@pytest.fixture(scope="module")
def told(town: Sandbox, listener: Listener) -> RelyingParty:
    """Return a client that is told by the back channel."""
    uri = f"{listener.url}/told"
    return register(town.issuer, "told", backchannel_logout_uri=uri, backchannel_logout_session_required=True)


@pytest.fixture(scope="module")
def framed(town: Sandbox) -> RelyingParty:
    """Return a client that is told through the browser."""
    uri = "https://framed.rp.example/front?kept=1"
    return register(town.issuer, "framed", frontchannel_logout_uri=uri, frontchannel_logout_session_required=True)


def sign_out(rp: RelyingParty, visitor: Visitor, *, method: str = "GET", **parameters: str | None) -> Arrived:
    """Send the browser to the end session endpoint, say yes where it is asked, and return where it ended."""
    given = {name: value for name, value in parameters.items() if value is not None}
    address = rp.provider["end_session_endpoint"]
    visitor.seen.clear()
    if method == "POST":
        visitor.open(address, method="POST", form=given)
    else:
        visitor.open(f"{address}?{urlencode(given)}")
    return visitor.arrive()


def is_signed_out(rp: RelyingParty, visitor: Visitor) -> bool:
    """Tell whether the provider has forgotten the citizen."""
    return rp.authorize(visitor, prompt="none").error == "login_required"


@pytest.mark.holds("L1", "RIL-2-1", "RIL-3-2")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("state", ["state of the sign-out", None])
def test_citizen_comes_back_signed_out(rp: RelyingParty, visitor: Visitor, method: str, state: str | None) -> None:
    hint = rp.tokens(rp.authorize(visitor))["id_token"]
    back = rp.client["post_logout_redirect_uris"][0]
    arrived = sign_out(rp, visitor, method=method, id_token_hint=hint, post_logout_redirect_uri=back, state=state)
    assert arrived.address.split("?")[0] == back
    assert arrived.parameters == ({"state": state} if state else {})
    assert is_signed_out(rp, visitor)


@pytest.mark.holds("L2", "RIL-3-3")
@pytest.mark.parametrize(
    "parameters", [{}, {"state": "x"}, {"id_token_hint": "HINT"}, {"id_token_hint": "HINT", "state": "x"}]
)
def test_citizen_stays_on_the_providers_page_when_no_address_is_named(
    rp: RelyingParty, visitor: Visitor, parameters: dict[str, str]
) -> None:
    hint = rp.tokens(rp.authorize(visitor))["id_token"]
    named = {name: hint if value == "HINT" else value for name, value in parameters.items()}
    arrived = sign_out(rp, visitor, **named)
    assert (arrived.by, arrived.status) == ("page", 200)
    assert 'id="signed-out"' in arrived.html
    assert is_signed_out(rp, visitor)


@pytest.mark.holds("L3", "RIL-4-1")
def test_nobody_is_sent_where_the_client_did_not_register(
    rp: RelyingParty, told: RelyingParty, visitor: Visitor
) -> None:
    hint = rp.tokens(rp.authorize(visitor))["id_token"]
    claims = jwt.get_unverified_claims(hint)
    back = rp.client["post_logout_redirect_uris"][0]
    foreign: RSAKey = rsa()
    for parameters in (
        {"id_token_hint": hint, "post_logout_redirect_uri": "https://evil.example/"},
        {"id_token_hint": hint, "post_logout_redirect_uri": f"{back}?foo=bar"},
        {"id_token_hint": hint, "post_logout_redirect_uri": f"{back}/"},
        {"id_token_hint": unsigned(claims), "post_logout_redirect_uri": back},
        {"id_token_hint": rp.sign(claims, key=foreign, alg="RS256"), "post_logout_redirect_uri": back},
        {"id_token_hint": hint[:-6] + "AAAAAA", "post_logout_redirect_uri": back},
        {"id_token_hint": hint, "client_id": told.client_id, "post_logout_redirect_uri": back},
        {"post_logout_redirect_uri": back},
        {"client_id": rp.client_id, "post_logout_redirect_uri": "https://evil.example/"},
        {"id_token_hint": "x", "post_logout_redirect_uri": back},
    ):
        arrived = sign_out(rp, visitor, state="x", **parameters)
        assert arrived.by == "page", parameters
        assert 'href="https://evil.example' not in arrived.html


@pytest.mark.holds("L5", "BCL-2.3-1", "BCL-2.4-1", "BCL-2.4-2", "BCL-2.4-3", "BCL-2.5-1", "BCL-4-1")
def test_other_client_is_told_by_the_back_channel(
    rp: RelyingParty, told: RelyingParty, visitor: Visitor, listener: Listener
) -> None:
    assert told.provider["backchannel_logout_supported"] is True
    assert told.provider["backchannel_logout_session_supported"] is True
    hint = rp.tokens(rp.authorize(visitor))["id_token"]
    id_token = told.sign_in(visitor)
    before = len(listener.received)
    back = rp.client["post_logout_redirect_uris"][0]
    assert sign_out(rp, visitor, id_token_hint=hint, post_logout_redirect_uri=back).by == "query"
    received = listener.wait_for(before + 1)[before]
    assert received.path == "/told"
    assert received.content_type == "application/x-www-form-urlencoded"
    assert received.form.keys() == {"logout_token"}
    header = jwt.get_unverified_header(received.token)
    assert header["typ"] == "logout+jwt"
    assert header["alg"] == "RS256"
    keys = requests.get(told.provider["jwks_uri"], timeout=10).json()["keys"]
    [key] = [key for key in keys if key["kid"] == header["kid"]]
    claims = jwt.decode(received.token, key, algorithms=["RS256"], audience=told.client_id, issuer=told.issuer)
    assert claims["events"] == {EVENT: {}}
    assert claims["sid"] == id_token["sid"]
    assert claims.get("sub", id_token["sub"]) == id_token["sub"]
    assert "nonce" not in claims
    assert abs(claims["iat"] - time.time()) < 10
    assert 0 < claims["exp"] - claims["iat"] <= 120
    assert claims["jti"]


@pytest.mark.holds("L6", "FCL-2-2", "FCL-2-3", "FCL-2-4", "FCL-3-1", "FCL-4-1")
def test_other_client_is_told_through_the_browser(rp: RelyingParty, framed: RelyingParty, visitor: Visitor) -> None:
    assert framed.provider["frontchannel_logout_supported"] is True
    assert framed.provider["frontchannel_logout_session_supported"] is True
    hint = rp.tokens(rp.authorize(visitor))["id_token"]
    id_token = framed.sign_in(visitor)
    back = rp.client["post_logout_redirect_uris"][0]
    page = sign_out(rp, visitor, id_token_hint=hint, post_logout_redirect_uri=back, state="x")
    assert page.by == "page"
    [frame] = re.findall(r"<iframe[^>]*src=\"([^\"]+)\"", page.html)
    assert query_of(unescape(frame)) == {"kept": "1", "iss": rp.issuer, "sid": id_token["sid"]}
    policy = visitor.answer.headers["Content-Security-Policy"]
    assert "frame-src https://framed.rp.example" in policy
    moment, _, onward = visitor.answer.headers["Refresh"].partition(";url=")
    assert int(moment) <= 10
    assert onward == f"{back}?state=x"


@pytest.mark.holds("RIL-2.1-1", "B7")
def test_sid_is_another_for_each_client_and_session(
    told: RelyingParty, framed: RelyingParty, somebody: Callable[[], Visitor]
) -> None:
    assert discover(told.issuer)["end_session_endpoint"]
    first, second = somebody(), somebody()
    sids = [rp.sign_in(visitor)["sid"] for rp in (told, framed) for visitor in (first, second)]
    assert len(set(sids)) == 4
    assert told.sign_in(first, prompt="none")["sid"] == sids[0]
