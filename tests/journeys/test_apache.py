"""A portal that runs none of our code: Apache with Debian's mod_auth_openidc, set up as its README says."""

import getpass
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.journeys import citizen
from tests.journeys.stage import REGISTRATIONS, House, Running, done, operate
from tests.services import free_port, left_out

pytestmark = [pytest.mark.browser, pytest.mark.apache]
TEMPLATE = REGISTRATIONS / "mod_auth_openidc"
APACHE = Path("/usr/sbin/apache2")
MODULE = Path("/usr/lib/apache2/modules/mod_auth_openidc.so")


@contextmanager
def apache(house: House, **changes: str) -> Iterator[str]:
    """Yield the address of the portal; its registration is applied and its Apache runs. `changes` are to its files."""
    if not (APACHE.exists() and MODULE.exists()):
        left_out("no Apache with mod_auth_openidc: apt-get install apache2-bin libapache2-mod-auth-openidc")
    port = free_port()
    # Not pytest's own directory: Apache serves as www-data, which may not enter that.
    directory = Path(tempfile.mkdtemp(prefix="lka-"))
    directory.chmod(0o755)
    values = {
        "@PORT@": str(port),
        "@ISSUER@": house.issuer,
        "@RUN_DIR@": str(directory),
        "@CLIENT_SECRET@": "sandbox-apache-secret-for-loopback-only-9Kd4wZ6b",
        "@CRYPTO_PASSPHRASE@": "a-passphrase-of-the-tests-alone-0123456789",
        **changes,
    }

    def fill(source: Path, target: Path) -> Path:
        text = source.read_text("utf-8")
        for mark, value in values.items():
            text = text.replace(mark, value)
        target.write_text(text, "utf-8")
        return target

    shutil.copytree(TEMPLATE / "htdocs", directory / "htdocs")
    fill(TEMPLATE / "htdocs/protected/index.html", directory / "htdocs/protected/index.html")
    document = fill(TEMPLATE / "apache-portal.json", directory / "apache-portal.json")
    done(operate("clients", "apply", str(document), settings=house.settings))
    configuration = fill(TEMPLATE / "apache.conf.template", directory / "apache.conf")
    as_root = ["-DAS_ROOT"] if getpass.getuser() == "root" else []
    command = [str(APACHE), "-f", str(configuration), "-DFOREGROUND", *as_root]
    server = Running(command, log=directory / "start.log")
    try:
        server.until_it_answers(port, "/")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.end()
        sys.stdout.write((directory / "error.log").read_text("utf-8", errors="replace"))
        assert server.family() == []
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def land_registry(house: House) -> Iterator[str]:
    with apache(house) as address:
        yield address


@pytest.fixture
def framed_registry(house: House) -> Iterator[str]:
    """Yield the same portal under another name, told of a logout through the browser."""
    through_browser = {
        '"backchannel_logout_uri"': '"frontchannel_logout_uri"',
        "logout=backchannel": "logout=get",
        "apache-portal": "apache-framed-portal",
    }
    with apache(house, **through_browser) as address:
        yield address


def test_citizen_signs_in_and_out_through_apache(
    land_registry: str, house: House, profile: Callable[..., BrowserContext]
) -> None:
    person = house.somebody()
    page = profile(java_script_enabled=False).new_page()
    page.goto(land_registry)
    page.click("#signin")
    assert page.url.startswith(f"{house.issuer}/signin/")
    citizen.log_in(page, person)
    assert "Thông tin đất đai" in page.inner_text("h1")
    assert person.full_name in page.inner_text("dl")
    page.click("#consent-allow")
    assert page.url == f"{land_registry}/protected/"
    assert page.inner_text("#person-name") == person.full_name
    assert page.inner_text("#acr") == "loa1"
    sub = page.inner_text("#sub")

    # The same person at the library: no typing, and another code for them.
    page.goto(house.library)
    page.click("#signin")
    page.click("#consent-allow")
    assert page.inner_text("#sub") != sub

    page.goto(f"{land_registry}/protected/")
    page.click("#signout")
    assert page.url.startswith(f"{house.issuer}/logout")
    page.click("#logout-confirm")
    assert page.url.startswith(f"{land_registry}/")
    page.goto(f"{land_registry}/protected/")
    assert page.url.endswith("/login")


def sign_in_here_and_at_the_library(page: Page, portal: str, house: House) -> None:
    page.goto(portal)
    page.click("#signin")
    citizen.log_in(page, house.somebody())
    page.click("#consent-allow")
    page.wait_for_selector("#person-name")
    page.goto(house.library)
    page.click("#signin")
    page.click("#consent-allow")
    page.wait_for_selector("#sub")


def test_who_signs_out_at_the_library_is_signed_out_at_apache(
    land_registry: str, house: House, profile: Callable[..., BrowserContext]
) -> None:
    page = profile(java_script_enabled=False).new_page()
    sign_in_here_and_at_the_library(page, land_registry, house)
    page.click("#signout")
    page.click("#logout-confirm")
    page.wait_for_selector("#portal-signed-out")
    page.goto(f"{land_registry}/protected/")
    assert page.url.startswith(f"{house.issuer}/signin/")
    listed = done(operate("deliveries", "list", "--client", "apache-portal", settings=house.settings))
    assert listed.startswith("apache-portal\t0 pending\t")
    assert "confirmed\t0 refused\t0 given up\tstatus 200" in listed


def test_who_signs_out_at_the_library_is_signed_out_at_apache_through_the_browser(
    framed_registry: str, house: House, profile: Callable[..., BrowserContext]
) -> None:
    page = profile(java_script_enabled=False).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    sign_in_here_and_at_the_library(page, framed_registry, house)
    page.click("#signout")
    page.click("#logout-confirm")
    page.wait_for_selector("#signed-out")
    assert page.locator("iframe").count() == 1
    # No script, no click: the page goes on by itself.
    page.wait_for_selector("#portal-signed-out")
    assert [each for each in complaints if "frame-src" in each] == []
    page.goto(f"{framed_registry}/protected/")
    assert page.url.startswith(f"{house.issuer}/signin/")
