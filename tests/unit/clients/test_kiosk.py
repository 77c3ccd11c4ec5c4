"""The counter kiosk against the real provider: a citizen's phone, a screen, and time that the test moves."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from clients.portals import Options, kiosk, read_registration
from clients.portals.kiosk import device, qr
from idp.agencies import apply, document
from tests.provider import Person, Provider, provider_at, walk
from tests.services import free_port


class Clock(SimpleNamespace):
    """The kiosk's clock, which a test can put forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def town(migrated_sqlite_url: str, tmp_path: Path) -> Iterator[Provider]:
    """Yield the provider, reachable over HTTP, with the kiosk's registration applied."""
    port = free_port()
    with provider_at(migrated_sqlite_url, tmp_path / "secrets", issuer=f"http://127.0.0.1:{port}") as provider:
        registration = document.read(read_registration("kiosk"), source="kiosk.json", is_sandbox=True)
        with provider.app.app_context():
            apply.apply([registration], is_sandbox=True)
        server = make_server("127.0.0.1", port, provider.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def make_kiosk(issuer: str) -> Flask:
    registration = read_registration("kiosk")
    return kiosk.create_app(
        Options(issuer, "http://127.0.0.1:8003", registration["client_secret"], "key-of-the-test", registration)
    )


@pytest.fixture
def screen(town: Provider) -> FlaskClient:
    return make_kiosk(town.settings.issuer).test_client()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(device, "time", clock)
    return clock


def field(page: str, name: str) -> str:
    return page.partition(f'id="{name}">')[2].partition("<")[0]


def start(screen: FlaskClient, language: str = "vi") -> str:
    screen.get(f"/?lang={language}")
    assert screen.post("/start").status_code == 303
    return screen.get("/screen").text


def answer(town: Provider, user_code: str, person: Person, decision: str = "continue") -> str:
    """Answer on the phone, and return the last page."""
    phone = town.browser()
    phone.get("/device")
    phone.submit("device-form", user_code=user_code)
    page = phone.submit("confirm-form", decision=decision)
    if decision == "continue":
        with pytest.raises(AssertionError, match="no way on"):
            walk(phone, page, person)
    assert phone.page is not None
    return phone.page.text


@pytest.mark.parametrize("language", ["vi", "en"])
def test_citizen_is_greeted_by_name_and_forgotten(
    town: Provider, screen: FlaskClient, clock: Clock, language: str
) -> None:
    person = town.citizen()
    page = start(screen, language)
    assert f'<html lang="{language}">' in page
    assert field(page, "address") == f"{town.settings.issuer}/device"
    answer(town, field(page, "user-code"), person)
    # Not asked before its time, however often the page is loaded.
    assert 'id="user-code"' in screen.get("/screen").text
    assert screen.get("/state").text == "Waiting"
    clock.ahead += 6
    assert screen.get("/state").text == "Greeted"
    page = screen.get("/screen").text
    assert field(page, "person-name") == person.full_name
    clock.ahead += device.GREETING + 1
    assert screen.get("/state").text == "Nothing"
    assert screen.get("/screen").location == "/"


def test_another_screen_sees_nothing_of_it(town: Provider, screen: FlaskClient, clock: Clock) -> None:
    start(screen)
    assert screen.application.test_client().get("/screen").location == "/"
    assert screen.post("/finish").location == "/"
    assert screen.get("/screen").location == "/"


def test_refusal_on_the_phone_is_shown(town: Provider, screen: FlaskClient, clock: Clock) -> None:
    page = start(screen, "en")
    answer(town, field(page, "user-code"), town.citizen(), "deny")
    clock.ahead += 6
    page = screen.get("/screen").text
    assert 'id="failed"' in page
    assert "refused" in page
    assert 'id="user-code"' in start(screen)


def test_code_that_nobody_used_expires(screen: FlaskClient, clock: Clock) -> None:
    start(screen, "en")
    clock.ahead += 601
    assert "expired" in screen.get("/screen").text


def test_polls_come_no_sooner_than_allowed(town: Provider, clock: Clock) -> None:
    registration = read_registration("kiosk")
    sign_in = device.DeviceSignIn(
        town.settings.issuer, client_id="kiosk", client_secret=registration["client_secret"], scope="openid"
    )
    waiting = sign_in.start()
    assert isinstance(waiting, device.Waiting)
    assert sign_in.ask(waiting) is waiting
    clock.ahead += 5
    polled = sign_in.ask(waiting)
    assert isinstance(polled, device.Waiting)
    assert polled.interval == 5
    # The kiosk's clock runs ahead of the provider's, which says that this is too soon.
    clock.ahead += 5
    slowed = sign_in.ask(polled)
    assert isinstance(slowed, device.Waiting)
    assert slowed.interval == 10


def test_silent_provider_is_said_and_no_defect(clock: Clock) -> None:
    screen = make_kiosk(f"http://127.0.0.1:{free_port()}").test_client()
    assert 'id="failed"' in start(screen)


def test_provider_that_goes_away_is_asked_again_later(town: Provider, clock: Clock) -> None:
    registration = read_registration("kiosk")
    sign_in = device.DeviceSignIn(
        town.settings.issuer, client_id="kiosk", client_secret=registration["client_secret"], scope="openid"
    )
    waiting = sign_in.start()
    assert isinstance(waiting, device.Waiting)
    sign_in.provider._metadata = {"token_endpoint": f"http://127.0.0.1:{free_port()}/token"}
    sign_in.provider._metadata_at = time.monotonic()
    clock.ahead += 5
    again = sign_in.ask(waiting)
    assert isinstance(again, device.Waiting)
    assert again.interval == 10


def test_drawing_is_the_matrix_of_the_code(screen: FlaskClient) -> None:
    page = start(screen)
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    side = int(svg.attrib["viewBox"].split()[2])
    dark = [element.attrib["d"] for element in svg][1]
    drawn = set()
    for run in dark.removesuffix("z").split("z"):
        x, rest = run.removeprefix("M").split(" ")
        y, width = rest.split("v")[0].split("h")
        drawn |= {(int(x) + step, int(y)) for step in range(int(width))}
    code = field(page, "user-code")
    address = f"{field(page, 'address')}?user_code={code}"
    made = qr.qrcode.QRCode(border=qr.QUIET, error_correction=qr.qrcode.constants.ERROR_CORRECT_M)
    made.add_data(address)
    made.make(fit=True)
    matrix = made.get_matrix()
    assert side == len(matrix)
    assert drawn == {(x, y) for y, row in enumerate(matrix) for x, is_dark in enumerate(row) if is_dark}


def test_pages_have_no_script_inside_and_need_none(screen: FlaskClient) -> None:
    screen.get("/")
    screen.post("/start")
    response = screen.get("/screen")
    assert response.text.count("<script") == response.text.count('<script src="/static/kiosk.js"></script>') == 1
    assert 'id="look" href="/screen"' in response.text
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-store"


def test_client_of_devices_alone_has_error_pages_without_a_way_back(town: Provider, screen: FlaskClient) -> None:
    page = start(screen)
    phone = town.browser()
    phone.get("/device")
    opened = phone.submit("device-form", user_code=field(page, "user-code"))
    phone.forget("flow-")
    assert phone.get(opened.path).error_code == "ID-001"
