"""Two officers, or two clicks, at the very same moment: one wins, and nothing is done twice."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from idp.citizens.models import CitizenNumber, RecoveryCode
from tests.browser import Browser
from tests.provider import Provider
from tests.racers import Racers, Shot, racers_at
from tests.unit.counter.desk import NEW_PASSWORD, Clerk, path_of, show_code, stranger


@pytest.fixture
def team(provider: Provider) -> Iterator[Racers]:
    """Yield two processes."""
    with racers_at(provider, processes=2) as ready:
        yield ready


def test_one_of_two_officers_gets_the_visit_and_one_of_two_clicks_the_account(
    provider: Provider, clerk: Clerk, clerks: Callable[[], Clerk], browser: Browser, team: Racers
) -> None:
    person, second = stranger(provider), clerks()
    code = show_code(browser, provider.portal())
    card = {
        "number": person.number, "full_name": person.full_name, "day": "28", "month": "2", "year": "1991",
        "document": "id-card", "face": "yes", "code": code,
    }  # fmt: skip
    shots = []
    for each in (clerk, second):
        each.sign_in("/counter/card")
        action, fields = each.browser.form("card-form")
        shots.append(Shot("POST", action, {"data": card | {"csrf": fields["csrf"]}}, each.browser.cookies()))
    hits = team.race(*shots)
    assert sorted(hit.status for hit in hits) == [303, 400]
    winner, place = next((each, hit.location) for each, hit in zip((clerk, second), hits, strict=True) if hit.location)
    assert place is not None
    winner.browser.get(place)
    winner.allow("new")
    assert browser.page is not None
    browser.get(path_of(browser.page, "/counter"))
    action, fields = browser.form("password-form", password=NEW_PASSWORD, again=NEW_PASSWORD)
    hits = team.race(Shot("POST", action, {"data": fields}, browser.cookies()))
    assert {hit.status for hit in hits} == {303}
    made = sa.select(CitizenNumber.citizen_id).order_by(CitizenNumber.valid_from.desc()).limit(1)
    [citizen_id] = provider.scalars(made)
    kept = sa.select(RecoveryCode.digest).where(RecoveryCode.citizen_id == citizen_id)
    assert len(provider.scalars(kept)) == 10
    page = browser.get(path_of(browser.page, "/counter/codes"))
    assert page.step == "codes"
    browser.submit("codes-form")
    assert browser.submit("login-form", number=person.number, password=NEW_PASSWORD).step == "consent"
