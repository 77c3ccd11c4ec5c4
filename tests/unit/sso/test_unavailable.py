"""A database that is away, read-only or overloaded: "try again", in the form of the path; a defect stays a defect."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.test import TestResponse

from idp.core.database import db, driver_url
from idp.sso import interaction
from tests.browser import Browser
from tests.provider import Portal, Provider, provider_at


@pytest.fixture
def provider(migrated_postgres_url: str, tmp_path: Path) -> Iterator[Provider]:
    with provider_at(migrated_postgres_url, tmp_path / "secrets") as made:
        yield made


@pytest.fixture
def browser(provider: Provider) -> Browser:
    return provider.browser()


@pytest.fixture
def portal(provider: Provider) -> Portal:
    return provider.portal()


def is_busy(response: TestResponse) -> None:
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    if response.mimetype == "application/json":
        assert response.get_json()["error"] == "temporarily_unavailable"
    else:
        assert "OP-002" in response.text


def test_pages_say_try_again_when_the_server_is_read_only(provider: Provider, portal: Portal, browser: Browser) -> None:
    engine = sa.create_engine(driver_url(provider.url), isolation_level="AUTOCOMMIT")
    name = engine.url.database
    change = f'ALTER DATABASE "{name}" SET default_transaction_read_only ='
    with engine.connect() as connection:
        connection.execute(sa.text(f"{change} on"))
        provider.services.hot_path._drop_idle()
        with provider.app.app_context():
            db.engine.dispose()
        is_busy(browser.send("GET", portal.address()))
        # Where a program waits, the same as JSON: counting the wrong secret is a write.
        answer = portal.redeem("any-code", authorization=portal.basic("wrong"))
        is_busy(answer)
        assert answer.mimetype == "application/json"
        connection.execute(sa.text("SET default_transaction_read_only = off"))
        connection.execute(sa.text(f"{change} off"))
    engine.dispose()
    provider.services.hot_path._drop_idle()
    with provider.app.app_context():
        db.engine.dispose()
    assert browser.get(portal.address()).step == "login"


def test_pages_say_try_again_when_no_connection_is_free(
    provider: Provider, portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser.get(portal.address())
    cancel = {"csrf": page.forms["login-form"].fields["csrf"]}
    with provider.app.app_context():
        pool = db.engine.pool
        monkeypatch.setattr(pool, "_timeout", 0.1)
        taken = [db.engine.connect() for _ in range(10)]
    try:
        # What the sign-in page asks goes over connections of its own; turning back is written over these.
        is_busy(browser.send("POST", f"/signin/{page.handle}/cancel", data=cancel))
    finally:
        for connection in taken:
            connection.close()
    assert browser.get(portal.address()).step == "login"


def test_the_page_says_try_again_when_the_connection_drops_in_mid_statement(
    provider: Provider, portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser.get(portal.address())

    def drop(*_: object, **__: object) -> None:
        db.session.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with monkeypatch.context() as patch:
        patch.setattr(interaction, "visit", drop)
        is_busy(browser.send("GET", page.path))
    assert browser.get(page.path).step == "login"


def test_a_wrong_statement_is_a_defect(portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    page = browser.get(portal.address())

    def fail(*_: object, **__: object) -> None:
        db.session.execute(sa.text("SELECT nothing FROM nowhere"))

    monkeypatch.setattr(interaction, "visit", fail)
    response = browser.send("GET", page.path)
    assert (response.status_code, "OP-001" in response.text) == (500, True)


FAULTS = [
    (PoolTimeout("pool"), 503),
    (InternalError("statement", {}, Exception("read only")), 503),
    (OperationalError("statement", {}, Exception("gone")), 503),
    (DBAPIError("statement", {}, Exception("gone"), connection_invalidated=True), 503),
    (ProgrammingError("statement", {}, Exception("wrong")), 500),
    (DBAPIError("statement", {}, Exception("wrong")), 500),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=[f"{type(fault).__name__}-{code}" for fault, code in FAULTS])
@pytest.mark.parametrize("path", ["/token", "/userinfo", "/signin/x"])
def test_every_path_tells_in_its_own_form(
    provider: Provider, portal: Portal, monkeypatch: pytest.MonkeyPatch, path: str, fault: Exception, status: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(type(provider.services.hot_path), "one", fail)
    monkeypatch.setattr(interaction, "visit", fail)
    provider.forget_caches()
    if path == "/token":
        response = portal.redeem("any-code")
    else:
        response = provider.http().get(path, headers={"Authorization": "Bearer x"})
    assert response.status_code == status
    assert response.mimetype == ("text/html" if path == "/signin/x" else "application/json")
    assert ("Retry-After" in response.headers) is (status == 503)
    if path != "/signin/x":
        assert response.get_json()["error"] == ("temporarily_unavailable" if status == 503 else "server_error")
