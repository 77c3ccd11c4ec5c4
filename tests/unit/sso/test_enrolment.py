"""Making an account from an agency's sign-in page: every step, every wrong turn, and the way back to the agency."""

import logging
import unicodedata
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.applicants import proofing
from idp.citizens.applicants.draft import Step
from idp.citizens.applicants.models import Enrolment
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.birthdate import BirthDate
from idp.citizens.claims import profile_of
from idp.citizens.credentials import hashing
from idp.citizens.models import ContactProof, Passkey, RecoveryCode, TotpCredential
from idp.citizens.registry import table
from idp.core import clock
from idp.core.database import db
from idp.notify.models import OwedNotice
from idp.sso.models import Interaction, SsoSession
from tests.applicant import NAME, Applicant, account_of, code_sent, new_number
from tests.authenticator import Authenticator, options_on
from tests.browser import Browser
from tests.provider import PASSWORD, Answer, Person, Portal, Provider, walk

STEPS = tuple(step.value for step in Step)


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid name birthdate idnum email")


@pytest.fixture
def applicant(provider: Provider) -> Applicant:
    return Applicant(provider).known()


def events(provider: Provider, name: str) -> list[AuditEvent]:
    return provider.scalars(sa.select(AuditEvent).where(AuditEvent.name == name).order_by(AuditEvent.id))


def owed_to(provider: Provider, citizen_id: object) -> list[str]:
    return sorted(provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == citizen_id)))


# --- the whole way ----------------------------------------------------------------------------------------------


def test_applicant_makes_an_account_and_comes_back_to_the_agency(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    page = applicant.arrive(portal, scope="openid name birthdate idnum email")
    assert page.step == "person"
    assert applicant.declare().step == "contact"
    assert applicant.ask_for_code().step == "contact-code"
    page = applicant.browser.submit("contact-code-form", code=code_sent(provider))
    assert page.step == "password"
    assert applicant.choose_password().step == "second-factor"
    page = applicant.choose("later")
    assert page.step == "codes"
    assert page.html.count('<li class="app-secret">') == 10
    page = applicant.finish()
    assert page.step == "consent"
    answer = Answer(walk(applicant.browser, page))
    tokens = portal.tokens(answer)
    assert portal.claims(tokens)["acr"] == "loa1"
    claims = portal.userinfo(tokens["access_token"]).get_json()
    assert claims["name"] == NAME
    assert claims["birthdate"] == "1991-02-28"
    assert claims["identification_number"] == applicant.number
    assert (claims["email"], claims["email_verified"]) == (applicant.contact, True)
    citizen = applicant.account()
    assert citizen is not None
    assert (citizen.proofing, citizen.registry_status) == (Proofing.MATCHED, RegistryStatus.ACTIVE)
    assert "account-opened" in owed_to(provider, citizen.id)
    [enrolled] = [event for event in events(provider, "citizens:citizen:enrolled") if event.citizen_id == citizen.id]
    assert enrolled.outcome == "self"
    assert len(provider.scalars(sa.select(RecoveryCode).where(RecoveryCode.citizen_id == citizen.id))) == 10


def test_account_signs_in_with_what_was_chosen(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    applicant.until_codes(portal)
    applicant.finish()
    citizen = applicant.account()
    assert citizen is not None
    person = Person(provider, citizen.id, applicant.number, NAME, PASSWORD)
    assert portal.sign_in(provider.browser(), person)["acr"] == "loa1"


# --- vietnam.md 7, acceptance checks (d) to (h) -------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        unicodedata.normalize("NFD", NAME),
        "Trần Thị Hòa Bình",
        "TRẦN THỊ HOÀ BÌNH",
        "  Trần   Thị Hoà  Bình ",
        "tran thi hoa binh",
    ],
    ids=["nfd", "other-tone-place", "capitals", "spaces", "no-accents"],
)
def test_check_d_every_spelling_of_one_name_is_that_person_and_the_register_spells_it(
    portal: Portal, applicant: Applicant, typed: str
) -> None:
    applicant.arrive(portal)
    page = applicant.declare(full_name=typed)
    assert page.step == "contact"
    assert NAME in page.text
    is_as_typed = unicodedata.normalize("NFC", " ".join(typed.split())) == NAME
    assert ("register-respelled" in page.ids) is not is_as_typed


def test_check_d_the_eth_of_old_files_is_a_d_with_stroke(provider: Provider, portal: Portal) -> None:
    applicant = Applicant(provider, full_name="Đỗ Thị Đào").known()
    applicant.arrive(portal)
    assert applicant.declare(full_name="Ðỗ Thị Ðào").step == "contact"


@pytest.mark.parametrize("typed", ["Trần Hoà Bình", "Bình Hoà Thị Trần", "Trần Thị Hoà Bìn"])
def test_check_d_another_name_is_another_person(portal: Portal, applicant: Applicant, typed: str) -> None:
    applicant.arrive(portal)
    page = applicant.declare(full_name=typed)
    assert (page.status, "person-refused" in page.ids) == (400, True)


def test_check_e_a_year_without_a_day_round_trips_as_a_year(provider: Provider, portal: Portal) -> None:
    old = Applicant(provider, f"979142{new_number()[6:]}", "Phạm Thị Sáu", ("", "", "1942")).known(
        birth=BirthDate(1942)
    )
    page = old.arrive(portal, scope="openid birthdate")
    page = old.browser.submit("person-form", number=old.number, full_name=old.full_name, day="", month="", year="1942")
    # Whoever only forgot the day is asked to look again, once.
    assert (page.step, "look-again" in page.ids) == ("person", True)
    assert old.browser.submit("person-form").step == "contact"
    old.prove()
    old.choose_password()
    old.choose("later")
    tokens = portal.tokens(Answer(walk(old.browser, old.finish())))
    assert portal.userinfo(tokens["access_token"]).get_json()["birthdate"] == "1942"


@pytest.mark.parametrize("name", ["K'Brếu", "H' Linh Byă", "Y Bhăm Niê"])
def test_check_f_a_name_of_one_word_and_names_of_minorities_enrol_and_sign_in(
    provider: Provider, portal: Portal, name: str
) -> None:
    applicant = Applicant(provider, full_name=name).known()
    applicant.until_codes(portal)
    applicant.finish()
    citizen = applicant.account()
    assert citizen is not None
    with provider.app.app_context():
        assert profile_of(citizen, provider.services.keyring).full_name == name
    person = Person(provider, citizen.id, applicant.number, name, PASSWORD)
    assert portal.sign_in(provider.browser(), person)["acr"] == "loa1"


def test_check_g_a_replaced_number_goes_on_with_the_new_one_and_the_old_one_still_signs_in(
    provider: Provider, portal: Portal
) -> None:
    new = new_number()
    applicant = Applicant(provider)
    applicant.known(table.Answer.REPLACED, replaced_by=new).known(number=new)
    applicant.arrive(portal)
    page = applicant.declare()
    assert (page.step, "register-renumbered" in page.ids) == ("contact", True)
    applicant.prove()
    applicant.choose_password()
    applicant.choose("later")
    assert applicant.finish().step == "consent"
    citizen, same = account_of(provider, new), applicant.account()
    assert citizen is not None
    assert same is not None
    assert citizen.id == same.id
    for number in (new, applicant.number):
        person = Person(provider, citizen.id, number, NAME, PASSWORD)
        tokens = portal.tokens(portal.arrive(provider.browser(), person, scope="openid idnum"))
        assert portal.userinfo(tokens["access_token"]).get_json()["identification_number"] == new


REFUSALS: dict[str, Callable[[Applicant], object]] = {
    "unknown number": lambda applicant: None,
    "other name": lambda applicant: applicant.known(full_name="Lê Thị Khác"),
    "other birth date": lambda applicant: applicant.known(birth=BirthDate(1991, 2, 27)),
    "deceased": lambda applicant: applicant.known(table.Answer.DECEASED),
    "locked": lambda applicant: applicant.known(table.Answer.LOCKED),
    "replaced, not said by what": lambda applicant: applicant.known(table.Answer.REPLACED),
    "replaced by nobody": lambda applicant: applicant.known(table.Answer.REPLACED, replaced_by=new_number()),
}


def test_check_h_no_text_says_what_differed_and_the_event_does(provider: Provider, portal: Portal) -> None:
    seen: dict[str, tuple[int, str, int]] = {}
    said: dict[str, tuple[str, str, str]] = {}
    for name, prepare in REFUSALS.items():
        applicant = Applicant(provider)
        prepare(applicant)
        applicant.arrive(portal)
        statements: list[object] = []
        with provider.app.app_context():
            engine = db.engine

        def note(*details: object, to: list[object] = statements) -> None:
            to.append(details)

        sa.event.listen(engine, "before_cursor_execute", note)
        page = applicant.declare()
        sa.event.remove(engine, "before_cursor_execute", note)
        shown = page.text.replace(applicant.number, "")
        seen[name] = (page.status, shown, len(statements))
        event = events(provider, "citizens:enrolment:asked")[-1]
        assert event.citizen_id is None
        said[name] = (event.detail["status"], event.detail["name"], event.detail["birth"])
    assert {status for status, _, _ in seen.values()} == {400}
    assert len({text for _, text, _ in seen.values()}) == 1
    # The register is asked a second time about who was known in full, and about nobody else.
    counts = {name: count for name, (_, _, count) in seen.items() if name != "replaced by nobody"}
    assert len(set(counts.values())) == 1, counts
    assert said["unknown number"] == ("not_found", "unknown", "unknown")
    assert said["other name"] == ("mismatch", "mismatch", "match")
    assert said["other birth date"] == ("mismatch", "match", "mismatch")
    assert said["deceased"][0] == "deceased"
    assert said["locked"][0] == "locked"


# --- what is typed ------------------------------------------------------------------------------------------------


def test_number_is_taken_with_spaces(portal: Portal, applicant: Applicant) -> None:
    applicant.arrive(portal)
    number = applicant.number
    assert applicant.declare(number=f" {number[:3]} {number[3:6]}.{number[6:9]}-{number[9:]}").step == "contact"


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ({"number": "", "full_name": "", "year": ""}, ["number", "full_name", "year"]),
        ({"number": "97919"}, ["number"]),
        ({"full_name": "Nguyễn 2"}, ["full_name"]),
        ({"day": "31", "month": "2"}, ["day"]),
        ({"day": "5", "month": ""}, ["month"]),
        ({"month": "13"}, ["month"]),
        ({"year": "91"}, ["year"]),
        ({"year": "2999"}, ["year"]),
        ({"number": "9" * 5_000, "full_name": "a" * 5_000, "year": "1" * 5_000}, ["number", "full_name", "year"]),
    ],
)
def test_what_cannot_be_meant_is_said_beside_its_field_and_nobody_is_asked(
    provider: Provider, portal: Portal, applicant: Applicant, typed: dict[str, str], fields: list[str]
) -> None:
    applicant.arrive(portal)
    asked = len(events(provider, "citizens:enrolment:asked"))
    page = applicant.declare(**typed)
    assert page.status == 400
    assert [name for name in ("number", "full_name", "day", "month", "year") if f"{name}-error" in page.ids] == fields
    assert len(events(provider, "citizens:enrolment:asked")) == asked


def test_number_that_does_not_fit_the_birth_date_warns_once_and_the_register_decides(
    provider: Provider, portal: Portal
) -> None:
    applicant = Applicant(provider, birth=("28", "2", "1990")).known(birth=BirthDate(1990, 2, 28))
    applicant.arrive(portal)
    day, month, year = applicant.birth
    typed = {"number": applicant.number, "full_name": NAME, "day": day, "month": month, "year": year}
    page = applicant.browser.submit("person-form", **typed)
    assert (page.status, "look-again" in page.ids) == (200, True)
    # What was typed stands there still.
    assert applicant.browser.form("person-form")[1].items() >= typed.items()
    assert applicant.browser.submit("person-form").step == "contact"


# --- out of order, twice, elsewhere -------------------------------------------------------------------------------


def test_every_address_out_of_order_leads_to_the_step_that_is_next(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    base = applicant.arrive(portal).path.removesuffix("/person")

    def check(now: str, *behind: str) -> None:
        for step in STEPS:
            page = applicant.browser.get(f"{base}/{step}")
            assert page.step == (step if step in behind else now), (now, step)
            answer = applicant.browser.send("POST", f"{base}/{step}", data={})
            assert answer.status_code in (303, 400, 405), (now, step)
        assert applicant.browser.get(base).step == now

    check("person")
    applicant.declare()
    check("contact", "person")
    applicant.ask_for_code()
    check("contact-code", "person", "contact")
    applicant.browser.submit("contact-code-form", code=code_sent(provider))
    check("password", "person", "contact")
    applicant.choose_password()
    check("second-factor", "person", "contact", "password")
    applicant.choose("app")
    check("app", "person", "contact", "password", "second-factor")
    applicant.confirm_app()
    check("codes", "person", "contact", "password", "second-factor")
    applicant.finish()
    for step in STEPS:
        assert applicant.browser.get(f"{base}/{step}").step == "consent"


def test_going_back_keeps_what_stays_true_and_forgets_what_does_not(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    page = applicant.until_codes(portal, factor="app")
    base = page.path.removesuffix("/codes")
    shown = page.text
    # The same person again changes nothing.
    applicant.browser.get(f"{base}/person")
    assert applicant.browser.submit("person-form").step == "codes"
    assert applicant.page.text == shown
    # Another address must be proven, and then all is as before.
    applicant.browser.get(f"{base}/contact")
    applicant.contact = "khac@thu.example"
    assert applicant.prove().step == "codes"
    # Somebody else begins anew.
    other = Applicant(provider).known()
    applicant.browser.get(f"{base}/person")
    applicant.number = other.number
    assert applicant.declare().step == "contact"
    assert applicant.browser.get(f"{base}/codes").step == "contact"


def test_a_double_click_is_harmless_at_every_step(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    browser = applicant.browser

    def twice(name: str, **typed: str) -> None:
        action, fields = browser.form(name, **typed)
        first = browser.send("POST", action, data=fields)
        second = browser.send("POST", action, data=fields)
        assert (first.status_code, second.status_code) == (303, 303), name
        browser.get(action.rpartition("/")[0])

    page = applicant.arrive(portal)
    base = page.path.removesuffix("/person")
    day, month, year = applicant.birth
    twice("person-form", number=applicant.number, full_name=NAME, day=day, month=month, year=year)
    applicant.ask_for_code()
    twice("contact-code-form", code=code_sent(provider))
    assert browser.get(base).step == "password"
    twice("password-form", password=PASSWORD, repeated=PASSWORD)
    twice("factor-form-later", factor="later")
    assert browser.get(base).step == "codes"
    action, fields = browser.form("codes-form")
    before = browser.cookies()
    first = browser.send("POST", action, data=fields)
    after = browser.cookies()
    # The second click left before the first was answered, and its answer is the one the browser keeps.
    browser.put(before)
    second = browser.send("POST", action, data=fields)
    assert (first.status_code, second.status_code) == (303, 303)
    assert browser.cookies()["__Host-sid"] == after["__Host-sid"]
    assert browser.get(base).step == "consent"
    citizen = applicant.account()
    assert citizen is not None
    assert len(provider.scalars(sa.select(SsoSession).where(SsoSession.citizen_id == citizen.id))) == 1


def test_the_second_click_gives_no_session_later(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    applicant.until_codes(portal)
    action, fields = applicant.browser.form("codes-form")
    before = applicant.browser.cookies()
    applicant.finish()
    citizen = applicant.account()
    assert citizen is not None
    provider.age(SsoSession, SsoSession.citizen_id == citizen.id, seconds=31)
    applicant.browser.put(before)
    assert applicant.browser.post(action, fields).step == "login"
    assert "__Host-sid" not in applicant.browser.cookies()


def test_the_handle_alone_opens_nothing(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    page = applicant.until_codes(portal)
    stranger = provider.browser()
    for step in STEPS:
        assert stranger.get(f"{page.path.removesuffix('/codes')}/{step}").error_code == "ID-001"
    action, fields = applicant.browser.form("codes-form")
    assert stranger.post(action, fields).error_code == "ID-001"
    assert applicant.account() is None


def test_a_post_without_the_form_token_does_nothing(portal: Portal, applicant: Applicant) -> None:
    applicant.until_codes(portal)
    assert applicant.browser.submit("codes-form", csrf="x").error_code == "ID-008"
    assert applicant.account() is None


def test_the_sign_in_lives_as_long_as_somebody_moves_and_an_hour_at_most(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    until_password(applicant, portal)
    page = applicant.choose_password()
    [interaction] = provider.scalars(sa.select(Interaction.id).order_by(Interaction.id.desc()).limit(1))
    for _ in range(6):
        provider.age(Interaction, Interaction.id == interaction, minutes=9)
        assert applicant.choose("app").step == "app"
        assert applicant.browser.get(page.path).step == "second-factor"
    provider.age(Interaction, Interaction.id == interaction, minutes=9)
    assert applicant.choose("app").error_code == "ID-002"


def test_whoever_turns_back_is_refused_to_the_agency_and_leaves_no_account(
    portal: Portal, applicant: Applicant
) -> None:
    applicant.until_codes(portal)
    page = applicant.browser.cancel()
    assert page.left_for is not None
    assert Answer(page.left_for)["error"] == "access_denied"
    assert applicant.account() is None


# --- the contact --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["", "   ", "không phải", "a@b", "x" * 5_000 + "@thu.example"])
def test_what_is_no_address_gets_no_code(provider: Provider, portal: Portal, applicant: Applicant, typed: str) -> None:
    applicant.arrive(portal)
    applicant.declare()
    before = len(provider.scalars(sa.select(OwedNotice.id)))
    page = applicant.browser.submit("contact-form", contact=typed)
    assert (page.status, "contact-error" in page.ids) == (400, True)
    assert len(provider.scalars(sa.select(OwedNotice.id))) == before


def test_wrong_and_expired_codes_prove_nothing_and_a_new_one_does(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    applicant.arrive(portal)
    applicant.declare()
    applicant.ask_for_code()
    right = code_sent(provider)
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    for typed in (wrong, "", "12", "abc def"):
        page = applicant.browser.submit("contact-code-form", code=typed)
        assert (page.status, page.step) == (400, "contact-code")
    [draft] = provider.scalars(sa.select(Enrolment).order_by(Enrolment.id.desc()).limit(1))
    provider.run(sa.update(ContactProof).where(ContactProof.bound_to == draft.id).values(expires_at=clock.now()))
    assert applicant.browser.submit("contact-code-form", code=right).status == 400
    assert applicant.browser.submit("contact-again-form", decision="again").step == "contact-code"
    new = code_sent(provider)
    assert applicant.browser.submit("contact-code-form", code=new).step == "password"


def test_code_of_another_enrolment_proves_nothing(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    other = Applicant(provider).known()
    for each in (other, applicant):
        each.arrive(portal)
        each.declare()
    applicant.ask_for_code()
    mine = code_sent(provider)
    other.ask_for_code()
    theirs = code_sent(provider)
    if mine != theirs:
        assert applicant.browser.submit("contact-code-form", code=theirs).status == 400
    assert applicant.browser.submit("contact-code-form", code=mine).step == "password"


# --- who has an account already -----------------------------------------------------------------------------------


def test_account_is_named_only_after_the_proof_its_holder_is_told_and_nothing_changes(
    provider: Provider, portal: Portal
) -> None:
    holder = provider.citizen(email="chu@thu.example", email_verified=True)
    before = holder.row()
    applicant = Applicant(provider, holder.number, holder.full_name)
    applicant.arrive(portal)
    assert applicant.declare().step == "contact"
    assert applicant.ask_for_code().step == "contact-code"
    assert owed_to(provider, holder.id) == []
    page = applicant.browser.submit("contact-code-form", code=code_sent(provider))
    assert page.step == "known"
    assert owed_to(provider, holder.id) == ["enrolment-repeated"]
    # Proving one address after the other tells them no more.
    applicant.browser.get(page.path.replace("known", "contact"))
    applicant.contact = f"zwei.{applicant.contact}"
    page = applicant.prove()
    assert (page.step, owed_to(provider, holder.id)) == ("known", ["enrolment-repeated"])
    after = holder.row()
    assert (after.profile, after.version, after.updated_at) == (before.profile, before.version, before.updated_at)
    [link] = [link for link in page.links if link.endswith("/login")]
    assert "login-form" in applicant.browser.get(link).forms


def test_one_person_enrols_once_when_two_browsers_end_at_different_times(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    other = Applicant(provider, applicant.number)
    applicant.until_codes(portal)
    other.until_codes(portal)
    assert other.finish().step == "consent"
    page = applicant.finish()
    assert page.step == "known"
    citizen = applicant.account()
    assert citizen is not None
    assert "enrolment-repeated" in owed_to(provider, citizen.id)


# --- password and second factor -----------------------------------------------------------------------------------


def until_password(applicant: Applicant, portal: Portal) -> None:
    applicant.arrive(portal)
    applicant.declare()
    applicant.prove()


@pytest.mark.parametrize(
    ("password", "repeated"), [("", ""), ("ngắn", "ngắn"), (PASSWORD, PASSWORD + "x"), ("x" * 5_000, "x" * 5_000)]
)
def test_password_that_cannot_be_is_said_and_not_sent_back(
    portal: Portal, applicant: Applicant, password: str, repeated: str
) -> None:
    until_password(applicant, portal)
    page = applicant.browser.submit("password-form", password=password, repeated=repeated)
    assert (page.status, page.step) == (400, "password")
    assert applicant.browser.form("password-form")[1]["password"] == ""


def test_password_of_own_words_is_refused(portal: Portal, applicant: Applicant) -> None:
    until_password(applicant, portal)
    page = applicant.choose_password("tranthihoabinh1991")
    assert (page.status, page.step) == (400, "password")


def test_short_password_needs_a_second_factor(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    until_password(applicant, portal)
    page = applicant.choose_password("kẹo lạc 73")
    assert page.step == "second-factor"
    assert "factor-form-later" not in page.forms
    action, fields = applicant.browser.form("factor-form-app", factor="later")
    assert applicant.browser.post(action, fields).step == "second-factor"
    applicant.choose("app")
    assert applicant.confirm_app().step == "codes"
    # A shorter one afterwards takes the choice to go without back.
    assert applicant.finish().step == "consent"


def test_later_is_taken_back_when_the_password_becomes_short(portal: Portal, applicant: Applicant) -> None:
    page = applicant.until_codes(portal)
    applicant.browser.get(page.path.replace("codes", "password"))
    assert applicant.choose_password("kẹo lạc 73").step == "second-factor"


def test_flood_of_passwords_answers_503(
    provider: Provider, portal: Portal, applicant: Applicant, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_password(applicant, portal)

    def busy(*_: object, **__: object) -> str:
        raise hashing.Busy

    monkeypatch.setattr("idp.citizens.credentials.password.make_hash", busy)
    page = applicant.choose_password()
    assert page.status == 503
    assert int(page.response.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert applicant.choose_password().step == "second-factor"


def test_app_is_confirmed_by_a_code_that_will_not_count_again(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    until_password(applicant, portal)
    applicant.choose_password()
    page = applicant.choose("app")
    assert page.html.count("<svg") == 2
    secret = applicant.secret()
    assert applicant.browser.submit("app-form", code="000000").status == 400
    assert applicant.secret() == secret
    applicant.confirm_app()
    applicant.finish()
    citizen = applicant.account()
    assert citizen is not None
    [app] = provider.scalars(sa.select(TotpCredential).where(TotpCredential.citizen_id == citizen.id))
    assert app.last_step is not None
    assert secret not in app.secret


def test_passkey_is_made_on_the_way_and_signs_in(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    until_password(applicant, portal)
    applicant.choose_password("kẹo lạc 73")
    page = applicant.choose("passkey")
    key = Authenticator()
    page = applicant.browser.submit("passkey-form", passkey=key.create(options_on(page), origin="https://evil.example"))
    assert (page.status, page.step) == (400, "passkey")
    page = applicant.browser.submit("passkey-form", passkey=key.create(options_on(page)))
    assert page.step == "codes"
    assert applicant.finish().step == "consent"
    citizen = applicant.account()
    assert citizen is not None
    assert len(provider.scalars(sa.select(Passkey).where(Passkey.citizen_id == citizen.id))) == 1
    other = provider.browser()
    page = other.get(portal.address())
    assert other.submit("passkey-form", passkey=key.get(options_on(page))).step == "consent"


def test_passkey_of_somebody_else_is_nobodys_second_one(provider: Provider, portal: Portal) -> None:
    key = Authenticator()
    for number in (1, 2):
        applicant = Applicant(provider).known()
        until_password(applicant, portal)
        applicant.choose_password()
        page = applicant.choose("passkey")
        applicant.browser.submit("passkey-form", passkey=key.create(options_on(page)))
        page = applicant.finish()
        assert page.step == ("consent" if number == 1 else "passkey")
        assert (applicant.account() is not None) is (number == 1)


# --- limits, and what is left behind --------------------------------------------------------------------------------


def test_tries_on_one_number_end_before_the_register_is_asked(
    provider: Provider, portal: Portal, applicant: Applicant
) -> None:
    applicant.arrive(portal)
    for _ in range(proofing.TRIES_FROM_ONE_NETWORK_ON_A_NUMBER):
        assert applicant.declare(full_name="Lê Thị Khác").status == 400
    asked = len(events(provider, "citizens:enrolment:asked"))
    page = applicant.declare()
    assert page.status == 429
    assert int(page.response.headers["Retry-After"]) > 0
    assert len(events(provider, "citizens:enrolment:asked")) == asked
    # The owner of the number comes from elsewhere.
    owner = Applicant(provider, applicant.number)
    owner.arrive(portal)
    assert owner.declare().step == "contact"


def test_a_list_of_numbers_from_one_network_finds_nothing(provider: Provider, portal: Portal) -> None:
    attacker = Applicant(provider)
    attacker.arrive(portal)
    statuses = [attacker.declare(number=new_number()).status for _ in range(proofing.TRIES_FROM_ONE_NETWORK + 5)]
    assert statuses[-5:] == [429] * 5


def test_nothing_of_the_draft_is_in_logs_addresses_or_plain_in_the_database(
    provider: Provider, portal: Portal, applicant: Applicant, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    page = applicant.until_codes(portal, factor="app")
    codes = [line.partition("<")[0] for line in page.html.split('<li class="app-secret">')[1:]]
    assert len(codes) == 10
    secrets = [applicant.number, "Hoà Bình", applicant.contact, PASSWORD, *codes]
    with provider.app.app_context():
        [row] = db.session.execute(sa.select(Enrolment.__table__).order_by(Enrolment.id.desc()).limit(1)).all()
    kept = " ".join(map(str, row))
    applicant.finish()
    with provider.app.app_context():
        [row] = db.session.execute(sa.select(Enrolment.__table__).order_by(Enrolment.id.desc()).limit(1)).all()
    assert row.draft == ""
    logged = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    addresses = " ".join(f"{answer.request.url} {answer.headers.get('Location')}" for answer in applicant.browser.seen)
    trail = " ".join(str(event.detail) for event in provider.scalars(sa.select(AuditEvent)))
    for secret in secrets:
        for place in (kept, logged, addresses, trail):
            assert secret not in place


def test_sign_in_page_offers_the_account_to_newcomers_only(
    provider: Provider, portal: Portal, browser: Browser
) -> None:
    person = provider.citizen()
    portal.sign_in(browser, person)
    page = browser.get(portal.address(prompt="login"))
    assert "login-form" in page.forms
    assert "login-enrol" not in page.ids


def test_nothing_is_kept_before_somebody_declares(provider: Provider, portal: Portal, applicant: Applicant) -> None:
    before = len(provider.scalars(sa.select(Enrolment.id)))
    applicant.arrive(portal)
    applicant.browser.get(applicant.page.path)
    assert len(provider.scalars(sa.select(Enrolment.id))) == before


def test_account_is_whole_or_not_at_all(
    provider: Provider, portal: Portal, applicant: Applicant, monkeypatch: pytest.MonkeyPatch
) -> None:
    applicant.until_codes(portal)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("idp.citizens.credentials.recovery.store", fail)
    assert applicant.finish().error_code == "OP-001"
    monkeypatch.undo()
    assert applicant.account() is None
    page = applicant.browser.get(applicant.page.path.rpartition("/")[0] + "/codes")
    assert page.step == "codes"
    assert applicant.finish().step == "consent"
