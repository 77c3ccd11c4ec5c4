"""OpenID Connect Core 1.0, 3.1.2.1: the authentication request, and where an answer may go (RFC 6749, 3.1)."""

import pytest

from tests.browser import Browser
from tests.provider import Answer, Portal, Provider, walk


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(
        redirect_uris=["https://thu.example/cb?keep=1&b=%C3%A9", "https://thu.example/other"],
        sector_identifier="thu.example",
    )


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        "https://thu.example/cb",
        "https://thu.example/cb?keep=1&b=%c3%a9",
        "https://thu.example/cb?keep=1&b=é",
        "https://thu.example/cb?b=%C3%A9&keep=1",
        "https://thu.example/cb?keep=1&b=%C3%A9&x=1",
        "https://thu.example/cb?keep=1&b=%C3%A9#x",
        "https://THU.example/other",
        "https://thu.example:443/other",
        "https://thu.example/other/",
        "https://thu.example/./other",
        "https://thu.example/other ",
        "https://thu.example@evil.example/other",
        "https://evil.example/other",
        "javascript:alert(1)",
    ],
)
@pytest.mark.holds(
    "B1",
    "OIDCC-3.1.2.1-3",
    "RFC6749-3.1.2.3-1",
    "RFC6749-3.1.2.4-1",
    "RFC6749-4.1.2.1-1",
    "RFC6749-10.15-1",
    "RFC9700-2.1-1",
    "RFC9700-4.1-1",
    "FAPI2SP-5.3.2.1-5",
)
def test_a_foreign_redirect_uri_is_a_page_without_a_way_out(
    portal: Portal, browser: Browser, redirect_uri: str | None
) -> None:
    for prompt in (None, "none"):
        page = browser.get(portal.address(redirect_uri=redirect_uri, prompt=prompt))
        assert (page.status, page.error_code, page.left_for) == (400, "PR-002", None)
        assert page.ids["error-reference"]
        # The language switch alone leads somewhere: to this very address.
        assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in page.links)
        assert "evil.example" not in page.text


@pytest.mark.holds("B1")
def test_a_redirect_uri_given_twice_is_a_page(portal: Portal, browser: Browser) -> None:
    page = browser.get(portal.address() + "&redirect_uri=https%3A%2F%2Fthu.example%2Fother")
    assert (page.status, page.error_code) == (400, "PR-002")


@pytest.mark.parametrize(
    ("client_id", "code"), [("nobody", "PR-001"), (None, "PR-003"), ("", "PR-003"), ("x" * 4000, "PR-001")]
)
@pytest.mark.holds("OIDCC-3.1.2.1-3", "RFC6749-4.1.2.1-1", "RFC9700-4.11-1")
def test_an_unknown_client_is_a_page(browser: Browser, portal: Portal, client_id: str | None, code: str) -> None:
    page = browser.get(portal.address(client_id=client_id))
    assert (page.status, page.error_code) == (400, code)
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in page.links)


def test_a_client_named_twice_is_a_page(portal: Portal, browser: Browser) -> None:
    page = browser.get(f"{portal.address()}&client_id={portal.client_id}")
    assert (page.status, page.error_code) == (400, "PR-003")


@pytest.mark.holds("F11", "RFC6749-3.1.2-1")
def test_the_registered_query_is_kept_when_the_answer_is_added(
    portal: Portal, provider: Provider, browser: Browser
) -> None:
    answer = portal.arrive(browser, provider.citizen())
    assert answer.location.startswith("https://thu.example/cb?keep=1&b=%C3%A9&code=")
    failed = portal.arrive(browser, scope="email")
    assert failed.location.startswith("https://thu.example/cb?keep=1&b=%C3%A9&error=")


def test_the_second_registered_address_is_answered_when_it_is_named(
    portal: Portal, provider: Provider, browser: Browser
) -> None:
    answer = portal.arrive(browser, provider.citizen(), redirect_uri="https://thu.example/other")
    assert answer.location.startswith("https://thu.example/other?code=")
    assert portal.redeem(answer["code"], redirect_uri="https://thu.example/other").status_code == 200


@pytest.mark.parametrize(
    "extra",
    [
        {"display": "page"},
        {"display": "popup"},
        {"display": "unheard-of"},
        {"ui_locales": "se fr-CA en vi-VN x-y"},
        {"ui_locales": "\u00e9 %$ --"},
        {"claims_locales": "se"},
        {"login_hint": "somebody@else.example"},
        {"foo": "bar", "extra_ünknown": "ü"},
        {"scope": "openid unheard-of offline_access"},
        {"scope": "unheard-of  openid openid"},
        {"response_mode": "query"},
        {"acr_values": "urn:mace:incommon:iap:silver 0"},
    ],
)
@pytest.mark.holds(
    "B13",
    "B14",
    "OIDCC-3.1.2.1-2",
    "OIDCC-3.1.2.1-11",
    "OIDCC-3.1.2.1-12",
    "OIDCC-3.1.2.2-1",
    "OIDCC-15.1-1",
    "RFC6749-3.1-2",
)
def test_what_is_not_understood_is_ignored(
    provider: Provider, browser: Browser, portal: Portal, extra: dict[str, str]
) -> None:
    page = browser.get(portal.address(**extra))
    assert (page.status, page.step) == (200, "login")


@pytest.mark.holds("B14")
def test_an_unknown_parameter_given_twice_is_ignored(portal: Portal, browser: Browser) -> None:
    assert browser.get(portal.address() + "&foo=1&foo=2").step == "login"


@pytest.mark.holds("B14", "RFC6749-3.3-1")
def test_order_of_parameters_and_scopes_is_irrelevant(provider: Provider, browser: Browser) -> None:
    portal, person = provider.portal(scope="openid email phone"), provider.citizen(email="a@b.example")
    portal.arrive(browser, person, scope="openid email phone")
    turned = dict(reversed(portal.request(scope="phone email openid").items()))
    page = browser.get("/authorize", query_string=turned)
    assert Answer(page.left_for or "").get("code")


@pytest.mark.holds("B15", "OIDCC-3.1.2.1-1", "RFC6749-3.1-1")
def test_the_request_may_be_posted(provider: Provider, portal: Portal, browser: Browser) -> None:
    person = provider.citizen()
    page = browser.post("/authorize", portal.request())
    assert page.step == "login"
    first = Answer(walk(browser, page, person))
    assert portal.claims(portal.tokens(first))["nonce"] == "nonce-of-the-portal"
    # Same site: the session cookie came along and no page is needed.
    again = browser.send("POST", "/authorize", data=portal.request())
    assert again.status_code == 303
    assert Answer(again.headers["Location"]).get("code")


@pytest.mark.holds("B15")
def test_a_cross_site_post_finds_the_session_although_its_cookie_stayed_behind(
    provider: Provider, portal: Portal, browser: Browser
) -> None:
    first = portal.sign_in(browser, provider.citizen())
    kept = browser.cookies()
    for prompt in (None, "none"):
        browser.forget("sid")
        page = browser.send("POST", "/authorize", data=portal.request(**({"prompt": prompt} if prompt else {})))
        assert page.status_code == 303
        assert page.headers["Location"].startswith("/signin/")
        flow = {name: value for name, value in browser.cookies().items() if name not in kept}
        browser.put({**kept, **flow})
        answer = Answer(browser.get(page.headers["Location"]).left_for or "")
        claims = portal.claims(portal.tokens(answer))
        assert (claims["sub"], claims["auth_time"]) == (first["sub"], first["auth_time"])


def test_a_cross_site_post_with_prompt_none_is_login_required_when_there_is_no_session(
    portal: Portal, browser: Browser
) -> None:
    page = browser.post("/authorize", portal.request(prompt="none"))
    answer = Answer(page.left_for or "")
    assert (answer["error"], answer["state"]) == ("login_required", "state-of-the-portal")


@pytest.mark.parametrize("nonce", [None, "n" * 512, "-._~+/=,;: đ\u0301 \U0001f600 \"'<&>%00%0a\\"])
@pytest.mark.holds("B5", "F12", "OIDCC-2-3")
def test_the_nonce_is_echoed_exactly_or_left_out(
    provider: Provider, portal: Portal, browser: Browser, nonce: str | None
) -> None:
    claims = portal.sign_in(browser, provider.citizen(), nonce=nonce)
    assert claims.get("nonce") == nonce


@pytest.mark.holds("OIDCC-3.1.2.1-12", "RFC6749-10.14-1")
def test_login_hint_fills_the_number_in_and_nothing_else(portal: Portal, browser: Browser) -> None:
    hint = '979191"><script>alert(1)</script>'
    page = browser.get(portal.address(login_hint=hint))
    assert page.forms["login-form"].fields["number"] == hint
    assert page.forms["login-form"].fields["password"] == ""
    assert "<script>" not in page.html


@pytest.mark.parametrize(
    ("ui_locales", "language"), [(None, "vi"), ("fr-CA en", "fr"), ("de en-GB", "en"), ("de", "vi"), ("vi", "vi")]
)
@pytest.mark.holds("OIDCC-3.1.2.1-11")
def test_the_page_speaks_the_language_the_portal_asked_for(
    portal: Portal, browser: Browser, ui_locales: str | None, language: str
) -> None:
    assert f'<html lang="{language}"' in browser.get(portal.address(ui_locales=ui_locales)).html
    assert browser.page is not None
    assert f'<html lang="{language}"' in browser.get(browser.page.path).html


def test_the_language_a_person_chose_goes_before_the_portals(portal: Portal, browser: Browser) -> None:
    page = browser.get(portal.address(ui_locales="fr"))
    assert '<html lang="en"' in browser.get(f"{page.path}?lang=en").html
    assert '<html lang="en"' in browser.get(portal.address(ui_locales="fr")).html


def test_a_suspended_client_is_a_page(provider: Provider, browser: Browser) -> None:
    from idp.agencies import apply

    stopped = provider.portal()
    with provider.app.app_context():
        apply.suspend(stopped.client_id)
    provider.forget_caches()
    page = browser.get(stopped.address())
    assert (page.status, page.error_code) == (403, "PR-005")
