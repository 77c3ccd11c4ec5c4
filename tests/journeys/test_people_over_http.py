"""Two people for whom a browser adds nothing: the man whose number was corrected, and the attacker with a list."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from idp.citizens import contact_proofs
from idp.citizens.applicants import proofing
from idp.citizens.applicants.draft import Declared
from idp.citizens.credentials import hashing, throttle
from idp.citizens.credentials.throttle import Rule
from idp.citizens.models import CredentialThrottle
from idp.citizens.numbers import VN_PIN
from idp.citizens.registry.table import Answer as Says
from idp.core.database import db
from idp.notify.models import OwedNotice
from tests.applicant import BIRTH, Applicant, new_number
from tests.browser import Page
from tests.provider import Answer, Person, Portal, Provider, provider_at, walk
from tests.unit.account.entering import enter

GUESS = "matkhau12345678"

# --- the man whose number was corrected ---------------------------------------------------------------------------


def test_man_whose_number_was_corrected_stays_himself_and_is_told(provider: Provider) -> None:
    man = provider.citizen(full_name="Đặng Văn Long", email="long@thu.example", email_verified=True)
    portal, phone = provider.portal(scope="openid name idnum"), provider.browser()
    before = portal.sign_in(phone, man)["sub"]
    new = f"979191{int(man.number[6:]) + 500_000:06d}"
    man.register_says(Says.REPLACED, replaced_by=new)
    # On the computer of his daughter he types a page of later, then the number on the new card, which nobody told us.
    computer = provider.browser()
    page = computer.get(portal.address(scope="openid idnum"))
    assert computer.get(f"/signin/{page.handle}/consent").step == "login"
    page = computer.submit("login-form", number=new, password=man.password)
    assert (page.status, page.step) == (400, "login")
    page = computer.submit("login-form", number=man.number, password=man.password)
    tokens = portal.tokens(Answer(walk(computer, page, man)))
    assert portal.claims(tokens)["sub"] == before
    assert portal.userinfo(tokens["access_token"]).get_json()["identification_number"] == new
    # From now on both numbers are his, and what was open stays open.
    for number in (new, man.number):
        browser = provider.browser()
        browser.get(portal.address())
        page = browser.submit("login-form", number=number, password=man.password)
        assert portal.claims(portal.tokens(Answer(walk(browser, page, man))))["sub"] == before
    assert "space-signin-form" not in phone.get("/account").forms
    # He is told once, in words, without a number; his own page says what became of the old one.
    owed = provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == man.id))
    assert owed.count("number-replaced") == 1
    assert not {"account-stopped", "level-changed"} & set(owed)
    page = enter(computer, man, "/account/number")
    assert page.ids["space-number"].replace(" ", "") == new
    assert page.ids["space-former-1"].replace(" ", "") == man.number
    assert "vẫn đăng nhập được bằng số cũ" in page.text
    # One person, one history: the sign-ins of before and after.
    page = computer.get("/account/history")
    assert page.text.count(f"Cổng {portal.client_id}") >= 4
    assert new not in page.html
    assert man.number not in page.html


# --- the attacker with a list of numbers --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reachable(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield the provider with a way for mails to leave."""
    folder = tmp_path_factory.mktemp("mail")
    with provider_at(
        provider.url, provider.settings.secrets_dir, mail_folder=folder, mail_from="x@lienket.example"
    ) as opened:
        yield opened


@pytest.fixture
def portal(reachable: Provider) -> Portal:
    return reachable.portal()


@pytest.fixture
def holder(reachable: Provider) -> Person:
    """Return somebody honest, with a mail address that is proven theirs."""
    serial = new_number()
    return reachable.citizen(totp=False, email=f"chu.{serial}@thu.example", email_verified=True)


@pytest.fixture
def numbers(reachable: Provider, holder: Person) -> list[str]:
    """Return the list: of an account, of one that can be reached by nobody, of a person without one, of nobody."""
    without_account = Applicant(reachable).known(full_name="Lê Thị Khác")
    return [holder.number, reachable.citizen(totp=False).number, without_account.number, new_number()]


class Work:
    """Statements and hashes: the class of time a page takes, on any machine."""

    def __init__(self) -> None:
        self.done = 0

    def count(self, of: Callable[..., Any]) -> Callable[..., Any]:
        """Return `of`, counted."""

        def counted(*values: Any, **named: Any) -> Any:
            self.done += 1
            return of(*values, **named)

        return counted


@pytest.fixture
def work(reachable: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Yield the count of what the provider does."""
    made = Work()
    hot_path = type(reachable.services.hot_path)
    for name in ("one", "apply"):
        monkeypatch.setattr(hot_path, name, made.count(getattr(hot_path, name)))
    monkeypatch.setattr(hashing, "_tag", made.count(hashing._tag))
    with reachable.app.app_context():
        engine = db.engine
    note = made.count(lambda *_: None)
    sa.event.listen(engine, "before_cursor_execute", note)
    yield made
    sa.event.remove(engine, "before_cursor_execute", note)


def seen(page: Page, number: str) -> tuple[int, str, str | None]:
    """Return what an attacker sees of a page, apart from what they typed."""
    return page.status, page.text.replace(number, ""), page.response.headers.get("Retry-After")


def owed(provider: Provider) -> list[tuple[object, ...]]:
    with provider.app.app_context():
        chosen = sa.select(OwedNotice.kind, OwedNotice.citizen_id, OwedNotice.state)
        return [tuple(row) for row in db.session.execute(chosen.order_by(OwedNotice.created_at, OwedNotice.id))]


def use_up(provider: Provider, rule: Rule, network: str, *, but: int) -> None:
    """Let the tries of a network be used up `but` for a few: hundreds of them are not worth waiting for here."""
    row = throttle.key(rule, network, keyring=provider.services.keyring)
    counted = sa.update(CredentialThrottle).where(CredentialThrottle.key == row)
    provider.run(counted.values(failures=rule.limit - but))


def signs_in(portal: Portal, person: Person) -> bool:
    """Tell whether somebody honest comes in at the first try, from the network at home."""
    browser = portal.provider.browser()
    browser._client.environ_base["REMOTE_ADDR"] = "203.0.113.80"
    return bool(portal.sign_in(browser, person)["sub"])


def test_attacker_with_a_list_learns_nothing_by_enrolling(
    reachable: Provider, portal: Portal, holder: Person, numbers: list[str], work: Work
) -> None:
    attacker, before = Applicant(reachable), owed(reachable)
    page = attacker.arrive(portal)
    # The page that would name an account, typed by hand.
    assert attacker.browser.get(page.path.replace("person", "known")).step == "person"
    shown, costs = set(), set()
    for number in numbers:
        begun = work.done
        shown.add(seen(attacker.declare(number=number, full_name="Nguyễn Văn An"), number))
        costs.add(work.done - begun)
    assert len(shown) == 1, shown
    assert next(iter(shown))[0] == 400
    assert len(costs) == 1, costs
    assert min(costs) > 2
    # What is left of the hour is soon used up, and then for every number alike.
    network = attacker.browser._client.environ_base["REMOTE_ADDR"]
    for _ in range(proofing.TRIES_FROM_ONE_NETWORK - len(numbers) - 1):
        declared = Declared(VN_PIN, new_number(), "Nguyễn Văn An", BIRTH)
        proofing.wait_for(declared, address=network, limiter=reachable.services.limiter)
    assert attacker.declare(number=new_number()).status == 400
    closed = [attacker.declare(number=number) for number in numbers]
    assert {page.status for page in closed} == {429}
    assert len({seen(page, number)[1] for page, number in zip(closed, numbers, strict=True)}) == 1
    # Nobody was written to, and nobody honest is kept out.
    assert owed(reachable) == before
    assert signs_in(portal, holder)
    owner = Applicant(reachable, numbers[2], "Lê Thị Khác")
    owner.arrive(portal)
    assert owner.declare().step == "contact"


def test_attacker_with_a_list_learns_nothing_from_a_forgotten_password(
    reachable: Provider, portal: Portal, holder: Person, numbers: list[str], work: Work
) -> None:
    before = owed(reachable)
    shown, guessed, costs = set(), set(), set()
    for number in numbers:
        asker = Applicant(reachable).from_network("198.51.100.7").browser
        page = asker.get(portal.address())
        # The last page first: it leads to the first.
        assert asker.get(f"/signin/{page.handle}/forgotten/password").step == "forgotten"
        begun = work.done
        shown.add(seen(asker.submit("forgotten-form", number=number), number))
        costs.add(work.done - begun)
        guessed.add(seen(asker.submit("code-form", code="000000"), number))
    assert len(shown) == len(guessed) == 1, (shown, guessed)
    assert len(costs) == 1, costs
    assert min(costs) > 2
    # The one who can be reached gets the code they did not ask for; the attacker gets nothing at all.
    new = owed(reachable)[len(before) :]
    assert sum(state == "pending" for _, _, state in new) == 1
    assert len(new) == len(numbers)
    use_up(reachable, contact_proofs._SENDS_FROM, "198.51.100.7", but=1)
    statuses = []
    for number in (new_number(), *numbers):
        asker = Applicant(reachable).from_network("198.51.100.7").browser
        page = asker.get(portal.address())
        asker.get(f"/signin/{page.handle}/forgotten")
        statuses.append(asker.submit("forgotten-form", number=number).status)
    assert statuses == [200, *[429] * len(numbers)]
    assert signs_in(portal, holder)


def test_attacker_with_a_list_learns_nothing_by_signing_in(
    reachable: Provider, portal: Portal, holder: Person, numbers: list[str], work: Work
) -> None:
    before = owed(reachable)
    attacker = Applicant(reachable).from_network("198.51.100.8").browser
    attacker.get(portal.address())
    shown, costs = set(), set()
    for number in numbers:
        begun = work.done
        shown.add(seen(attacker.submit("login-form", number=number, password=GUESS), number))
        costs.add(work.done - begun)
    assert len(shown) == 1, shown
    assert next(iter(shown))[0] == 400
    assert len(costs) == 1, costs
    assert min(costs) > 2
    # One password for everybody, until the network is closed.
    use_up(reachable, throttle.ADDRESS, "198.51.100.8", but=1)
    assert attacker.submit("login-form", number=new_number(), password=GUESS).status == 400
    closed = [seen(attacker.submit("login-form", number=number, password=GUESS), number)[:2] for number in numbers]
    assert len(set(closed)) == 1
    assert closed[0][0] == 429
    assert owed(reachable) == before
    assert signs_in(portal, holder)
