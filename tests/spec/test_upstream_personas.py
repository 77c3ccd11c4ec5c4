"""Our provider federates the sandbox's over loopback: each fault a tester can choose ends as it should."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.documents import Row
from idp.citizens.enrolment import import_documents
from idp.citizens.registry import table
from idp.cli import db as schema
from idp.cli.sandbox import listening
from idp.core import outbound
from idp.core.database import db
from idp.core.i18n import translate
from idp.sandbox.demo_people import DEMO_NEWCOMERS, DEMO_PEOPLE
from idp.sandbox.provider import record
from idp.sandbox.provider.protocol import PersonaProvider
from idp.sandbox.provider.views import create_provider
from idp.upstream import apply
from idp.upstream.document import read
from tests.browser import Browser
from tests.provider import Answer, Portal, Provider, json_of, provider_at, walk
from tests.services import free_port

OURS = "http://localhost:8000"
ESSENTIAL = json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}})
HANH = {"number": "979188000123", "full_name": "Vũ Thị Hạnh", "birthdate": "1988-09-05", "level": "loa2"}
# The last part of what the page says, `upstream.refused.*`, beside the reason in the trail.
FAULTS = {
    "deny": ("cancelled", "cancelled"),
    "server-error": ("provider-error", "unavailable"),
    "outage": ("token-response", "unavailable"),
    "expired-code": ("token-response", "unavailable"),
    "slow": ("unreachable", "unavailable"),
    "wrong-nonce": ("id-token-nonce", "untrusted"),
    "wrong-issuer": ("id-token-issuer", "untrusted"),
    "level-too-low": ("level-too-low", "level"),
    "unpublished-key": ("id-token-signature", "untrusted"),
}


@dataclass
class House:
    """Our provider with the demo's people, and the sandbox's beside it."""

    ours: Provider
    portal: Portal

    def come(self, data: dict[str, str], **changes: str) -> Browser:
        """Return a new browser that chose the sandbox's provider, filled in its page so, and came back."""
        browser = self.ours.browser()
        browser.get(self.portal.address(**changes))
        left = browser.submit(f"upstream-form-{record.SLUG}").left_for
        assert left is not None
        with requests.Session() as visitor:
            at = visitor.get(left, timeout=5).url
            sent = visitor.post(at + ("/person" if "number" in data else ""), data, allow_redirects=False, timeout=5)
        assert sent.status_code == 303, sent.text
        back = urlsplit(sent.headers["Location"])
        browser.get(f"{back.path}?{back.query}")
        return browser

    def claims(self, browser: Browser) -> dict[str, object]:
        """Agree to what is asked, and return what the portal is told."""
        return self.portal.claims(self.portal.tokens(Answer(walk(browser, browser.page))))

    def reasons(self) -> list[str]:
        """Return why sign-ins were refused, in order."""
        events = self.ours.scalars(
            sa.select(AuditEvent).where(AuditEvent.name == "upstream:login:refused").order_by(AuditEvent.id)
        )
        return [event.detail["reason"] for event in events]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Yield both. Ours is on loopback as well: the sandbox's serves nobody else, and no database matters here."""
    directory, port = tmp_path_factory.mktemp("personas"), free_port()
    url = f"sqlite:///{Path(directory) / 'lienket.sqlite3'}"
    schema.upgrade(url)
    theirs = PersonaProvider(
        f"http://127.0.0.1:{port}", record.registration(OURS, record.SLUG, "a secret of the two"), slow_seconds=5
    )
    with (
        provider_at(url, directory / "secrets", issuer=OURS) as ours,
        listening(create_provider(theirs), "127.0.0.1", port),
    ):
        with ours.app.app_context():
            given = ours.services
            hard = {"ordinary", "deceased", "locked", "replaced-number"}
            rows = [Row(each.key, each.document()) for each in DEMO_PEOPLE if each.key in hard]
            import_documents(rows, settings=ours.settings, keyring=given.keyring, registry=given.registry)
            table.write(DEMO_NEWCOMERS, keyring=given.keyring)
            document = record.provider_document(theirs.issuer, record.SLUG, "a secret of the two")
            apply.apply(read(document, source=record.SLUG, is_sandbox=True), keyring=given.keyring)
            db.session.commit()
        yield House(ours, ours.portal(scope="openid name birthdate idnum"))
        theirs.wake()


def test_people_prepared_and_typed_sign_in_when_the_register_knows_them(house: House) -> None:
    scope = "openid name birthdate idnum"
    known = house.claims(house.come({"person": "ordinary"}, scope=scope))
    assert (known["acr"], known["amr"]) == ("loa2", ["pwd", "otp"])
    newcomer = {"number": "979094000121", "full_name": "Lê Minh Khôi", "birthdate": "1994-06-18", "level": "loa3",
                "methods": "fpt made-up"}  # fmt: skip
    typed = house.claims(house.come(newcomer, acr_values="loa3"))
    assert (typed["acr"], typed["amr"]) == ("loa3", ["fpt"])
    assert typed["sub"] != known["sub"]
    # The register has replaced the number; the account knows both.
    assert house.come({"person": "replaced-number"}).page.step == "consent"
    # Another subject at the provider, the same person here.
    again = house.claims(house.come({**newcomer, "subject": "another"}))
    assert again["sub"] == typed["sub"]
    # The key has changed, and the change was published.
    assert house.claims(house.come({"person": "ordinary", "fault": "rotated-key"}))["sub"] == known["sub"]


@pytest.mark.parametrize(
    ("data", "reason", "told"),
    [
        ({"person": "stranger"}, "register-mismatch", "mismatch"),
        ({"person": "deceased"}, "register-deceased", "deceased"),
        ({"person": "locked"}, "register-locked", "locked"),
        ({**HANH, "full_name": "Vũ Thị Hoa"}, "register-mismatch", "mismatch"),
        ({**HANH, "birthdate": ""}, "claims", "incomplete"),
        ({**HANH, "level": ""}, "level-not-allowed", "level"),
    ],
)
def test_people_who_are_not_confirmed_are_refused_in_the_words_that_fit(
    house: House, data: dict[str, str], reason: str, told: str
) -> None:
    assert _words(told, house) in house.come(data).page.text
    assert house.reasons()[-1] == reason


def test_each_fault_is_refused_with_its_reason_on_record(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for fault, (reason, told) in FAULTS.items():
        with monkeypatch.context() as patch:
            if fault == "slow":
                patch.setattr(outbound, "TOTAL_SECONDS", 0.3)
            page = house.come({"person": "ordinary", "fault": fault}, claims=ESSENTIAL).page
        assert page.step == "login"
        assert (fault, house.reasons()[-1]) == (fault, reason)
        assert _words(told, house) in page.text


def test_a_low_level_is_raised_by_ways_of_ours_or_told_when_more_was_only_wished_for(house: House) -> None:
    low = {"fault": "level-too-low"}
    assert house.come({"person": "ordinary", **low}, acr_values="loa2").page.step == "code"
    assert house.claims(house.come({**HANH, **low}, acr_values="loa2"))["acr"] == "loa1"


def test_another_number_for_a_known_subject_is_refused_and_told(house: House) -> None:
    house.claims(house.come({"person": "newcomer-year-only"}))
    page = house.come({"person": "newcomer-year-only", "fault": "other-number"}).page
    assert _words("other-person", house) in page.text
    assert house.reasons()[-1] == "number-changed"
    assert house.ours.scalars(sa.select(AuditEvent).where(AuditEvent.name == "upstream:identity:changed"))


def _words(told: str, house: House) -> str:
    return translate(
        "vi", f"upstream.refused.{told}", provider=record.NAMES["vi"], agency=house.portal.document["client_name"]
    )
