"""Rights: asked for in words, with days that people can count on, and an answer in the same place."""

import io
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from idp.citizens.rights import LONGEST, MOST_OPEN, RightsRequest, end_of_working_day
from idp.cli import main
from idp.core import clock
from idp.notify.models import OwedNotice
from tests.browser import Browser
from tests.provider import Person, Provider
from tests.racers import Shot, racers_at
from tests.unit.account.entering import enter
from tests.unit.account.test_disowning import shell

__all__ = ["shell"]
PATH = "/account/rights"
WORDS = "Ngày sinh ghi sai, đúng là 28/02/1991. canary <b>"


def rows(provider: Provider, person: Person) -> list[RightsRequest]:
    return provider.scalars(sa.select(RightsRequest).where(RightsRequest.citizen_id == person.id))


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-11-23T03:00", "2026-11-25"),  # Monday to Wednesday
        ("2026-11-26T03:00", "2026-11-30"),  # Thursday to Monday
        ("2026-11-27T03:00", "2026-12-01"),  # Friday to Tuesday
        ("2026-11-28T03:00", "2026-12-01"),  # Saturday to Tuesday
        ("2026-11-27T18:00", "2026-12-01"),  # already Saturday in Viet Nam
    ],
)
def test_weekends_are_no_working_days(asked: str, due: str) -> None:
    end = end_of_working_day(datetime.fromisoformat(asked).replace(tzinfo=UTC), 2)
    assert end.astimezone(clock.VIETNAM).strftime("%Y-%m-%d %H:%M") == f"{due} 23:59"


def test_clocks_stand_where_the_citizen_acts(provider: Provider, browser: Browser, person: Person) -> None:
    page = enter(browser, person, PATH)
    assert "2 ngày làm việc" in page.text
    assert "20 ngày" in page.text
    page = browser.get(f"{PATH}/objection")
    assert "15 ngày" in page.ids["rights-clock"]
    portal = provider.portal(scope="openid name")
    portal.arrive(browser, person, scope="openid name")
    assert "15 ngày" in browser.get(f"/account/agencies/{portal.client_id}").ids["agency-clock"]


def test_a_request_is_kept_sealed_listed_and_answered(
    provider: Provider,
    browser: Browser,
    person: Person,
    shell: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(browser, person, f"{PATH}/correction")
    page = browser.submit("rights-form", words=f"{WORDS}\r\nHai dòng.")
    assert page.path == PATH
    [row] = rows(provider, person)
    assert "canary" not in row.words
    assert row.done_due_at - row.asked_at == timedelta(days=20)
    for text in (row.reference, WORDS, clock.day(row.answer_due_at)):
        assert text in page.text
    with pytest.raises(SystemExit):
        main(["rights", "list"])
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith(row.reference)]
    assert line.split("\t")[1] == "correction"
    assert WORDS in line
    monkeypatch.setattr("sys.stdin", io.StringIO("Đã sửa theo giấy khai sinh.\n"))
    with pytest.raises(SystemExit) as ended:
        main(["rights", "answer", row.reference, "granted"])
    assert not ended.value.code
    page = browser.get(PATH)
    assert "Đã sửa theo giấy khai sinh." in page.text
    kinds = provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id))
    assert kinds.count("rights-answered") == 1
    # Answered once.
    monkeypatch.setattr("sys.stdin", io.StringIO("Khác\n"))
    with pytest.raises(SystemExit) as ended:
        main(["rights", "answer", row.reference, "refused"])
    assert ended.value.code == 2
    capsys.readouterr()


def test_a_request_without_words_too_long_or_one_too_many_comes_back(
    provider: Provider, browser: Browser, person: Person
) -> None:
    enter(browser, person, f"{PATH}/restriction")
    assert browser.submit("rights-form", words="  ").status == 400
    page = browser.submit("rights-form", words="x" * (LONGEST + 1))
    assert page.status == 400
    assert "error-summary" in page.ids
    for number in range(MOST_OPEN):
        browser.get(f"{PATH}/restriction")
        assert browser.submit("rights-form", words=f"Yêu cầu {number}").path == PATH
    browser.get(f"{PATH}/restriction")
    assert browser.submit("rights-form", words="Một nữa").status == 400
    assert len(rows(provider, person)) == MOST_OPEN


def test_two_clicks_are_one_request_and_a_forged_form_none(
    provider: Provider, browser: Browser, person: Person
) -> None:
    enter(browser, person, f"{PATH}/objection")
    action, fields = browser.form("rights-form", words=WORDS)
    assert browser.post(action, {"words": WORDS}).error_code == "ID-008"
    assert browser.post(f"{PATH}/correction", fields).error_code == "ID-008"
    assert browser.get(f"{PATH}/nothing").path == PATH
    with racers_at(provider, processes=2) as racers:
        hits = racers.race(Shot("POST", action, {"data": fields}, browser.cookies()))
    assert [hit.status for hit in hits] == [303, 303]
    assert len(rows(provider, person)) == 1


def test_requests_of_others_are_not_listed(provider: Provider, browser: Browser, person: Person) -> None:
    stranger, theirs = provider.citizen(), provider.browser()
    enter(theirs, stranger, f"{PATH}/correction")
    theirs.submit("rights-form", words=WORDS)
    page = enter(browser, person, PATH)
    assert "canary" not in page.text
