"""OpenID Connect for Identity Assurance 1.0: claims of the register, told with how they were verified."""

import re
from typing import Any

import pytest
import sqlalchemy as sa

from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core.scopes import PERSON_CLAIMS
from idp.sso.models import Disclosure
from tests.browser import Browser
from tests.provider import Person, Portal, Provider, json_of

SCOPE = "openid name birthdate idnum email gender"
FRAMEWORK = {"trust_framework": "vn-eid-69-2024"}
RECORD = {"type": "population_register", "source": {"name": "Cơ sở dữ liệu quốc gia về dân cư", "country_code": "VNM"}}
UTC_TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope=f"{SCOPE} offline_access", grant_types=["authorization_code", "refresh_token"])


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com", email_verified=True)


@pytest.fixture(scope="module")
def signed_in(provider: Provider, portal: Portal, person: Person) -> Browser:
    """Return a browser in which everything was agreed to, so that no page comes between."""
    browser = provider.browser()
    portal.arrive(browser, person, scope=SCOPE)
    return browser


def wish(verification: Any = None, **claims: Any) -> dict[str, Any]:
    return {
        "verification": {"trust_framework": None} if verification is None else verification,
        "claims": claims or {"name": None},
    }


def told(portal: Portal, browser: Browser, wanted: Any) -> Any:
    """Return `verified_claims` of UserInfo for a request of `wanted`, None when there is none."""
    tokens = portal.tokens(portal.arrive(browser, claims=json_of(userinfo={"verified_claims": wanted})))
    assert "verified_claims" not in portal.claims(tokens)
    body = portal.userinfo(tokens["access_token"]).get_json()
    assert set(body) <= {"sub", "verified_claims"}
    return body.get("verified_claims")


@pytest.mark.holds("IDA-5.1-1", "IDA-5.3-1", "IDA-5.4-1", "IDA-7-1")
def test_userinfo_has_what_was_asked_and_the_trust_framework(
    portal: Portal, signed_in: Browser, person: Person
) -> None:
    for verification in ({"trust_framework": None}, {}):
        found = told(portal, signed_in, wish(verification, name=None, birthdate={"essential": True}))
        claims = {"name": person.full_name, "birthdate": "1991-02-28"}
        assert found == {"verification": FRAMEWORK, "claims": claims}


@pytest.mark.holds("IDA-5.2-1")
def test_the_id_token_has_them_where_they_were_asked_there(portal: Portal, signed_in: Browser, person: Person) -> None:
    wanted = json_of(id_token={"verified_claims": wish(identification_number=None), "email": None})
    tokens = portal.tokens(portal.arrive(signed_in, claims=wanted))
    token = portal.claims(tokens)
    assert token["verified_claims"] == {"verification": FRAMEWORK, "claims": {"identification_number": person.number}}
    assert token["email"] == "hoa@example.com"
    assert "name" not in token
    assert set(portal.userinfo(tokens["access_token"]).get_json()) == {"sub"}


@pytest.mark.holds("IDA-5.4-1", "IDA-5.4-2", "IDA-9-1")
def test_verification_is_told_as_far_as_it_was_asked(portal: Portal, signed_in: Browser) -> None:
    everything = {"assurance_level": None, "time": None, "evidence": [{"type": {"value": "electronic_record"}}]}
    verification = told(portal, signed_in, wish(everything))["verification"]
    assert re.fullmatch(UTC_TIME, verification["time"])
    assert verification == {
        **FRAMEWORK,
        "assurance_level": "loa3",
        "time": verification["time"],
        "evidence": [{"type": "electronic_record"}],
    }
    deep = {"evidence": [{"type": {"value": "vouch"}}, {"time": None, "record": {"source": None}, "txn": None}]}
    [evidence] = told(portal, signed_in, wish(deep))["verification"]["evidence"]
    assert evidence == {"type": "electronic_record", "time": verification["time"], "record": RECORD}


@pytest.mark.parametrize(
    ("verification", "is_met"),
    [
        ({"trust_framework": {"value": "vn-eid-69-2024"}}, True),
        ({"trust_framework": {"values": ["de_aml", "vn-eid-69-2024"]}}, True),
        ({"trust_framework": {"value": "de_aml"}}, False),
        ({"trust_framework": {"values": ["de_aml"]}}, False),
        ({"trust_framework": {"values": "vn-eid-69-2024"}}, False),
        ({"assurance_level": {"values": ["loa2", "loa3"]}}, True),
        ({"assurance_level": {"value": "high"}}, False),
        ({"time": {"max_age": 3600}}, True),
        ({"time": {"max_age": 3600.5}}, True),
        ({"time": {"max_age": -1}}, False),
        ({"time": {"max_age": 10**400}}, False),
        ({"assurance_level": {"max_age": 3600}}, False),
        ({"evidence": [{"type": {"value": "document"}}]}, False),
        ({"evidence": [{"record": {"type": {"value": "population_register"}}}]}, True),
        ({"evidence": [{"record": {"value": "population_register"}}]}, False),
        ({"evidence": [{"document_details": {"type": {"value": "idcard"}}}]}, False),
        ({"verification_process": {"value": "x y\u00a0z"}}, False),
        ({"verification_process": None, "evidence": [], "assurance_process": {"policy": None}}, True),
    ],
)
@pytest.mark.holds("IDA-5.5-1", "IDA-5.7.4-1")
def test_a_requirement_that_is_not_met_leaves_out_the_element(
    portal: Portal, signed_in: Browser, verification: Any, *, is_met: bool
) -> None:
    assert (told(portal, signed_in, wish(verification)) is not None) is is_met


@pytest.mark.holds("IDA-5.3-2", "IDA-5.7.4-1", "IDA-5.7.5-1")
def test_a_claim_with_another_value_than_demanded_is_left_out(
    provider: Provider, portal: Portal, signed_in: Browser, person: Person
) -> None:
    demands = {"name": {"value": person.full_name}, "birthdate": {"values": ["1990-01-01", "1991-02-28"]}}
    number = {"identification_number": {"value": "001099000001"}}
    found = told(portal, signed_in, wish(**demands, **number))
    assert found["claims"] == {"name": person.full_name, "birthdate": "1991-02-28"}
    assert told(portal, signed_in, wish(**number)) is None
    # What a client demands is about a person; these columns are not sealed.
    kept = provider.scalars(sa.text("SELECT claims FROM access_token WHERE claims LIKE '%{%'"))
    assert kept
    assert not any(secret in text for text in kept for secret in ("001099000001", "1991-02-28", "Nguy"))


@pytest.mark.holds("IDA-5.6-1")
def test_each_element_is_answered_by_itself(portal: Portal, signed_in: Browser) -> None:
    foreign = wish({"trust_framework": {"value": "eidas"}}, name=None)
    found = told(portal, signed_in, [wish(name=None), foreign, wish({"time": None}, name=None, birthdate=None)])
    assert sorted(len(each["claims"]) for each in found) == [1, 2]
    assert isinstance(told(portal, signed_in, [foreign, wish(name=None)]), dict)
    assert told(portal, signed_in, []) is None


@pytest.mark.holds("IDA-5.7.2-1", "IDA-5.7.5-1", "IDA-8-1", "IDA-5.8-1", "IDA-6.1-1")
def test_only_claims_of_the_register_that_the_client_may_have_are_told(
    provider: Provider, portal: Portal, signed_in: Browser, person: Person
) -> None:
    document = provider.http().get("/.well-known/openid-configuration").get_json()
    assert document["verified_claims_supported"] is True
    assert document["trust_frameworks_supported"] == ["vn-eid-69-2024"]
    assert document["evidence_supported"] == ["electronic_record"]
    assert document["electronic_records_supported"] == ["population_register"]
    assert document["claim_types_supported"] == ["normal"]
    every = dict.fromkeys((*PERSON_CLAIMS, "unheard-of", "{"))
    found = set(told(portal, signed_in, wish(**every))["claims"])
    assert found == {"name", "birthdate", "identification_number", "identification_number_scheme"}
    assert found <= set(document["claims_in_verified_claims_supported"])
    assert told(portal, signed_in, wish(email=None, gender=None)) is None
    narrow = provider.portal(scope="openid birthdate")
    narrow.arrive(browser := provider.browser(), person, scope="openid birthdate")
    assert set(told(narrow, browser, wish(**every))["claims"]) == {"birthdate"}


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"proofing": Proofing.MATCHED}, "loa1"),
        ({"registry_status": RegistryStatus.MISMATCH}, None),
        ({"registry_checked_at": None}, None),
        ({"proofing": Proofing.CONSISTENT}, None),
    ],
)
@pytest.mark.holds("IDA-5.1-1")
def test_nothing_is_verified_without_the_word_of_the_register(
    provider: Provider, portal: Portal, changes: dict[str, Any], level: str | None
) -> None:
    person, wanted = provider.citizen(), json_of(userinfo={"verified_claims": wish({"assurance_level": None})})
    tokens = portal.tokens(portal.arrive(provider.browser(), person, claims=wanted))
    person.set(**changes)
    verified = portal.userinfo(tokens["access_token"]).get_json().get("verified_claims")
    assert (verified and verified["verification"]["assurance_level"]) == level


@pytest.mark.holds("IDA-5.7.3-1")
def test_the_citizen_is_asked_for_them_as_for_all_claims(provider: Provider, portal: Portal, person: Person) -> None:
    browser = provider.browser()
    other = provider.portal(scope="openid name birthdate")
    browser.get(other.address(claims=json_of(id_token={"verified_claims": wish(name={"value": "x"})})))
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "consent"
    assert person.full_name in page.text
    assert "28/02/1991" not in page.text
    answer = other.arrive(browser, claims=json_of(userinfo={"verified_claims": wish(name=None)}))
    assert answer["code"]
    newest = sa.select(Disclosure.claims).where(Disclosure.citizen_id == person.id).order_by(Disclosure.id.desc())
    assert provider.scalars(newest.limit(1)) == ["name"]
    again = other.arrive(browser, prompt="none", claims=json_of(userinfo={"verified_claims": wish(birthdate=None)}))
    assert again["error"] == "consent_required"


def test_they_outlive_the_session_with_the_scopes_they_belong_to(provider: Provider, portal: Portal) -> None:
    both = {"verified_claims": wish(name=None, birthdate=None)}
    wanted = json_of(userinfo=both, id_token=both)
    scope = f"{SCOPE} offline_access"
    tokens = portal.tokens(portal.arrive(provider.browser(), provider.citizen(), scope=scope, claims=wanted))
    for narrowed, claims in ((None, {"name", "birthdate"}), ("openid name", {"name"}), ("openid", set())):
        changes = {} if narrowed is None else {"scope": narrowed}
        tokens = portal.refresh(tokens["refresh_token"], **changes).get_json()
        for body in (portal.claims(tokens), portal.userinfo(tokens["access_token"]).get_json()):
            assert set(body.get("verified_claims", {"claims": {}})["claims"]) == claims


@pytest.mark.parametrize(
    "malformed",
    [
        "x",
        [1],
        {},
        {"claims": {"name": None}},
        {"verification": {"trust_framework": None}},
        {"verification": None, "claims": {"name": None}},
        {"verification": {"trust_framework": "x"}, "claims": {"name": None}},
        {"verification": {"evidence": ["x"]}, "claims": {"name": None}},
        {"verification": {}, "claims": {"name": True}},
        {"verification": {}, "claims": None},
        [{"verification": {}, "claims": {"name": {"values": list(range(500))}}}],
    ],
)
@pytest.mark.holds("IDA-5.7.6-1")
def test_what_is_malformed_is_invalid_request(portal: Portal, browser: Browser, malformed: Any) -> None:
    answer = portal.arrive(browser, claims=json_of(userinfo={"verified_claims": malformed}))
    assert answer["error"] == "invalid_request"
