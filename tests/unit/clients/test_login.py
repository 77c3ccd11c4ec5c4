"""A whole login: what is sent, what is kept, where the citizen ends."""

from base64 import b64decode
from urllib.parse import parse_qs, unquote_plus, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.unit.clients.conftest import Browser, make_app
from tests.unit.clients.scripted_provider import RS256_KEY, SUB, ScriptedProvider, sign


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def test_sign_in_opens_a_session_and_returns_to_the_page_asked_for(browser: Browser) -> None:
    response = browser.sign_in("/page?year=2026")
    assert (response.status_code, response.location) == (303, "/page?year=2026")
    assert browser.portal.get("/page?year=2026").text == "page"
    assert browser.sub() == SUB


def test_sign_in_accepts_rs256(browser: Browser, provider: ScriptedProvider) -> None:
    provider.sign = lambda claims: sign(claims, RS256_KEY)
    browser.sign_in()
    assert browser.sub() == SUB


@pytest.mark.holds("RFC7636-7.1-1")
def test_authorization_request_holds_pkce_state_and_nonce_new_each_time(browser: Browser) -> None:
    first, second = query(browser.begin()), query(browser.begin())
    assert first["response_type"] == "code"
    assert first["code_challenge_method"] == "S256"
    assert first["acr_values"] == "loa1"
    assert first["ui_locales"] == "vi"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


def test_two_tabs_begun_at_once_both_have_their_own_request(browser: Browser) -> None:
    first = browser.begin("/page?tab=1")
    browser.begin("/page?tab=2")
    assert browser.portal.get(browser.answer_of(first)).location == "/page?tab=1"


def test_many_abandoned_tabs_keep_the_cookie_small(browser: Browser) -> None:
    for tab in range(12):
        browser.begin(f"/page?tab={tab}&{'x' * 380}")
    cookie = browser.portal.get_cookie("portal-session")
    assert cookie is not None
    assert len(cookie.value) < 3800
    assert browser.sign_in("/page").location == "/page"


def test_session_id_is_new_at_every_sign_in_and_the_old_one_ends(browser: Browser) -> None:
    ids = []
    for _ in range(2):
        browser.sign_in()
        with browser.portal.session_transaction() as session:
            ids.append(session["session_id"])
    assert ids[0] != ids[1]
    with browser.portal.session_transaction() as session:
        session["session_id"] = ids[0]
    assert browser.sub() == ""


def test_cookie_holds_nothing_about_the_person(browser: Browser) -> None:
    browser.sign_in()
    with browser.portal.session_transaction() as session:
        assert set(session) == {"session_id"}
    cookie = browser.portal.get_cookie("portal-session")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"


def test_session_ends_after_its_lifetime(provider: ScriptedProvider) -> None:
    browser = Browser(make_app(provider, session_lifetime=-1))
    assert browser.sign_in().status_code == 303
    assert browser.sub() == ""


def test_guarded_form_sent_without_session_returns_to_the_start_page(browser: Browser) -> None:
    response = browser.portal.post("/page")
    assert browser.portal.get(browser.answer_of(response.location)).location == "/"


def test_step_up_asks_for_the_higher_level_and_comes_back(browser: Browser, provider: ScriptedProvider) -> None:
    browser.sign_in()
    assert browser.sign_in("/strong").location == "/strong"
    assert provider.authorization_requests[-1]["acr_values"] == "loa2"
    assert browser.portal.get("/strong").text == "strong"


def test_step_up_that_stays_low_ends_in_a_page_and_keeps_the_session(
    browser: Browser, provider: ScriptedProvider
) -> None:
    browser.sign_in()
    provider.acr = "loa1"
    response = browser.sign_in("/strong")
    assert response.status_code == 403
    assert 'data-code="unmet-level"' in response.text
    assert browser.sub() == SUB


def test_step_up_by_another_person_closes_the_session(browser: Browser, provider: ScriptedProvider) -> None:
    browser.sign_in()
    provider.sub = "somebody-else"
    response = browser.sign_in("/strong")
    assert 'data-code="other-person"' in response.text
    assert browser.sub() == ""


def test_higher_level_than_asked_is_enough(browser: Browser, provider: ScriptedProvider) -> None:
    provider.acr = "loa3"
    browser.sign_in()
    assert browser.portal.get("/strong").text == "strong"


@pytest.mark.parametrize("acr", ["", "loa0", "loa9", "urn:other", ["loa2"], 2, None])
def test_unknown_acr_satisfies_no_level(browser: Browser, provider: ScriptedProvider, acr: object) -> None:
    provider.change_claims = lambda claims: {**claims, "acr": acr}
    response = browser.sign_in()
    assert 'data-code="unmet-level"' in response.text
    assert browser.sub() == ""


def test_client_secret_goes_in_the_header_or_the_body_as_registered(provider: ScriptedProvider) -> None:
    Browser(make_app(provider)).sign_in()
    assert provider.token_requests[-1]["authorization"].startswith("Basic ")
    assert "client_secret" not in provider.token_requests[-1]
    Browser(make_app(provider, token_endpoint_auth_method="client_secret_post")).sign_in()
    assert provider.token_requests[-1]["authorization"] == ""
    assert provider.token_requests[-1]["client_secret"] == "secret-of-the-test"


def test_odd_secret_arrives_whole_in_the_header(provider: ScriptedProvider) -> None:
    Browser(make_app(provider, client_secret="a%2Fb+c d:é")).sign_in()
    scheme, _, value = provider.token_requests[-1]["authorization"].partition(" ")
    assert scheme == "Basic"
    client_id, _, secret = b64decode(value).decode().partition(":")
    assert (unquote_plus(client_id), unquote_plus(secret)) == ("portal", "a%2Fb+c d:é")


def test_private_key_jwt_is_for_the_issuer_short_and_used_once(provider: ScriptedProvider) -> None:
    key = ECKey.generate_key("P-256", {"kid": "of-the-portal"})
    browser = Browser(make_app(provider, client_secret=None, private_key=key.as_dict(private=True)))
    seen = []
    for _ in range(2):
        browser.sign_in()
        assertion = jwt.decode(provider.token_requests[-1]["client_assertion"], key, algorithms=["ES256"])
        assert assertion.header["kid"] == "of-the-portal"
        assert assertion.claims["aud"] == provider.issuer
        assert assertion.claims["iss"] == assertion.claims["sub"] == "portal"
        assert assertion.claims["exp"] - assertion.claims["iat"] <= 300
        seen.append(assertion.claims["jti"])
    assert seen[0] != seen[1]
    assert browser.sub() == SUB


def test_sign_out_ends_the_session_and_names_it_to_the_provider(browser: Browser, provider: ScriptedProvider) -> None:
    browser.sign_in()
    response = browser.portal.post("/signout")
    sent = query(response.location)
    assert response.status_code == 303
    assert response.location.startswith(f"{provider.issuer}/logout?")
    assert sent["post_logout_redirect_uri"] == "http://127.0.0.1/signed-out"
    assert sent["client_id"] == "portal"
    assert sent["id_token_hint"].count(".") == 2
    assert browser.sub() == ""
    for _ in range(2):  # a reload is harmless
        assert "portal-signed-out" in browser.portal.get(f"/signed-out?state={sent['state']}").text


@pytest.mark.parametrize("state", ["", "?state=", "?state=other", "?state=%C3%A9"])
def test_sign_out_answer_with_another_state_is_not_believed(browser: Browser, state: str) -> None:
    browser.sign_in()
    browser.portal.post("/signout")
    response = browser.portal.get(f"/signed-out{state}")
    assert response.status_code == 400
    assert 'data-code="stale-signout"' in response.text


def test_sign_out_by_link_does_nothing(browser: Browser) -> None:
    browser.sign_in()
    assert browser.portal.get("/signout").status_code == 405
    assert browser.sub() == SUB


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_sign_out_by_a_form_of_another_site_does_nothing(browser: Browser, site: str) -> None:
    browser.sign_in()
    headers = {"Sec-Fetch-Site": site}
    # A sibling's form brings the cookie, any other leaves it behind; neither may change it.
    for portal in (browser.portal, browser.portal.application.test_client()):
        response = portal.post("/signout?lang=en", headers=headers)
        assert (response.status_code, response.location) == (303, "/")
        assert "Set-Cookie" not in response.headers
    assert browser.sub() == SUB
    assert "/logout" in browser.portal.post("/signout", headers={"Sec-Fetch-Site": "same-origin"}).location
    assert browser.sub() == ""


def test_language_chosen_is_kept_and_told_to_the_provider(browser: Browser) -> None:
    assert query(browser.begin("/signin?lang=en"))["ui_locales"] == "en"
    browser.sign_in()
    assert query(browser.begin())["ui_locales"] == "en"
    response = browser.portal.get("/signin/callback?state=unknown")
    assert '<html lang="en">' in response.text


@pytest.mark.holds("RFC6749-3.1.2.5-1")
def test_callback_is_neither_cached_nor_named_to_other_sites(browser: Browser) -> None:
    response = browser.sign_in()
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_discovery_and_keys_are_fetched_once_for_many_sign_ins(browser: Browser, provider: ScriptedProvider) -> None:
    assert provider.calls == []  # the portal started without them
    for _ in range(3):
        browser.sign_in()
    assert provider.calls.count("discovery") == 1
    assert provider.calls.count("jwks") == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"issuer": "http://login.example"},
        {"issuer": "https://login.example?tenant=1"},
        {"redirect_uri": "http://portal.example/signin/callback"},
        {"client_secret": None},
        {"private_key": {"kty": "EC"}},
        {"scope": "name"},
        {"acr_values": "gold"},
    ],
)
def test_unsafe_settings_stop_the_portal(provider: ScriptedProvider, settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        make_app(provider, **settings)


def test_https_portal_gets_a_host_cookie(provider: ScriptedProvider) -> None:
    app = make_app(provider, redirect_uri="https://portal.example/signin/callback")
    assert app.config["SESSION_COOKIE_NAME"] == "__Host-portal-session"
    assert app.config["SESSION_COOKIE_SECURE"] is True
