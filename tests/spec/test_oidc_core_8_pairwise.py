"""OpenID Connect Core 1.0, 8 and 8.1: pairwise subjects, one for each sector, for ever."""

import pytest

from idp.citizens.registry.table import Answer as RegisterAnswer
from tests.browser import Browser
from tests.provider import Person, Provider


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.mark.holds("OIDCC-2-1", "OIDCC-8-1")
def test_two_sectors_know_a_person_by_different_names(provider: Provider, browser: Browser, person: Person) -> None:
    first, second = provider.portal(), provider.portal()
    subs = {portal.sign_in(browser, person)["sub"] for portal in (first, second, first, second)}
    assert len(subs) == 2
    for sub in subs:
        assert len(sub) == 43
        assert sub.isascii()


@pytest.mark.holds("OIDCC-8-2")
def test_one_sector_knows_a_person_by_one_name(provider: Provider, browser: Browser, person: Person) -> None:
    agency = {"slug": f"agency-{person.number}", "name": {"vi": "Cơ quan"}}
    sector = f"s{person.number}.example"
    twins = [provider.portal(agency=agency, sector_identifier=sector) for _ in range(2)]
    assert len({portal.sign_in(browser, person)["sub"] for portal in twins}) == 1


@pytest.mark.holds("OIDCC-2-1")
def test_two_people_have_different_names(provider: Provider, person: Person) -> None:
    portal = provider.portal()
    subs = [portal.sign_in(provider.browser(), each)["sub"] for each in (person, provider.citizen())]
    assert subs[0] != subs[1]


@pytest.mark.holds("OIDCC-8-1")
def test_the_name_stays_when_number_and_password_change(provider: Provider, person: Person) -> None:
    portal = provider.portal()
    before = portal.sign_in(provider.browser(), person)["sub"]
    new_number = f"979191{int(person.number[6:]) + 500_000:06d}"
    person.register_says(RegisterAnswer.REPLACED, replaced_by=new_number)
    assert portal.sign_in(provider.browser(), person)["sub"] == before
    renamed = provider.citizen(number=new_number, password="một mật khẩu mới hẳn")
    assert renamed.id == person.id
    from dataclasses import replace

    again = replace(person, number=new_number, password="một mật khẩu mới hẳn")
    assert portal.sign_in(provider.browser(), again)["sub"] == before


@pytest.mark.holds("OIDCC-8-1")
def test_the_name_says_nothing_about_the_person(provider: Provider, browser: Browser, person: Person) -> None:
    sub = provider.portal().sign_in(browser, person)["sub"]
    assert person.number not in sub
    assert person.id.hex not in sub
