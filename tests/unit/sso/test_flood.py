"""A flood of passwords fills a queue and nothing else: 503 with a time to come back, and who is signed in goes on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from idp.citizens.credentials import hashing
from tests.provider import Provider, provider_at


@pytest.fixture
def narrow(migrated_database_url: str, tmp_path: Path) -> Iterator[Provider]:
    """Yield a provider that hashes one password at a time and lets two wait."""
    with provider_at(migrated_database_url, tmp_path / "secrets", hash_workers=1, hash_queue=2) as made:
        yield made


def test_password_is_answered_503_while_the_queue_is_full_and_single_sign_on_goes_on(narrow: Provider) -> None:
    person, portal = narrow.citizen(totp=False), narrow.portal()
    inside, outside = narrow.browser(), narrow.browser()
    portal.arrive(inside, person)
    outside.get(portal.address())
    action, fields = outside.form("login-form", number=person.number, password=person.password)
    queue = hashing.queue(narrow.settings)
    with ExitStack() as flood:
        for _ in range(3):
            flood.enter_context(queue.place())
        answer = outside.send("POST", action, data=fields)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        # What was typed was not judged, so nothing was counted, and a session needs no password.
        assert portal.tokens(portal.arrive(inside))
    assert outside.send("POST", action, data=fields).status_code == 303


def test_many_wrong_passwords_at_once_are_each_refused_or_sent_away_and_nobody_waits_behind_them(
    narrow: Provider,
) -> None:
    person, portal = narrow.citizen(totp=False), narrow.portal()
    inside = narrow.browser()
    portal.arrive(inside, person)
    browsers = [narrow.browser() for _ in range(12)]
    posts = []
    for number, browser in enumerate(browsers):
        browser.get(portal.address())
        posts.append((browser, *browser.form("login-form", number=f"9791919{number:05d}", password="wrong-password")))
    with ThreadPoolExecutor(len(posts)) as pool:
        answers = [pool.submit(browser.send, "POST", action, data=fields) for browser, action, fields in posts]
        assert portal.tokens(portal.arrive(inside))
        statuses = [answer.result(60).status_code for answer in answers]
    assert set(statuses) <= {400, 503}
    assert 400 in statuses
    # Nothing is held on to: the queue is as empty as before.
    with ExitStack() as places:
        for _ in range(3):
            places.enter_context(hashing.queue(narrow.settings).place())
