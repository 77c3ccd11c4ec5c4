"""An operator's road to production: what is unsafe stops it, in words that say what to mend.

The single commands have their tests in tests/unit/cli; here `idp serve` itself is started.
"""

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from idp.core.database import driver_url
from idp.sandbox.demo_people import DEMO_PEOPLE
from tests.journeys.citizen import CHALLENGE
from tests.journeys.stage import REGISTRATIONS, Running, done, operate
from tests.services import free_port

ISSUER = "https://login.example"
REDIRECT_URI = "https://portal.example/callback"


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    """Return the settings of a provider in production, its keyring not made yet."""
    return {
        "IDP_PROFILE": "production",
        "IDP_ISSUER": ISSUER,
        "IDP_PROXY_HOPS": "1",
        "IDP_DATABASE_URL": f"sqlite:///{tmp_path / 'lienket.sqlite3'}",
        "IDP_SECRETS_DIR": str(tmp_path / "secrets"),
    }


def serve(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start `idp serve`, which must end by itself."""
    return operate("serve", "--port", str(free_port()), settings=settings)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"IDP_ISUER": "https://login.example"}, "environment variable IDP_ISUER"),
        ({"IDP_ISSUER": "http://login.example"}, "production needs https"),
        ({"IDP_SESSION_IDLE": "0"}, "IDP_SESSION_IDLE"),
    ],
)
def test_unsafe_setting_stops_the_start_and_is_named(
    production: dict[str, str], change: dict[str, str], told: str
) -> None:
    done(operate("secrets", "init", settings=production))
    done(operate("db", "upgrade", settings=production))
    refused = serve(production | change)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert told in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_line_of_the_settings_file_is_named(production: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "lienket.conf"
    file.write_text("# Ours\nIDP_PROFILE = production\nIDP_COLOUR = blue\n", "utf-8")
    refused = serve({"IDP_SETTINGS_FILE": str(file)} | production)
    assert refused.returncode == 2
    assert f"{file}:3: there is no setting IDP_COLOUR" in refused.stderr


def test_start_without_keyring_says_which_command_helps(production: dict[str, str]) -> None:
    refused = serve(production)
    assert refused.returncode == 2
    assert refused.stderr == f"idp serve: {production['IDP_SECRETS_DIR']} does not exist; `idp secrets init` makes it\n"


def test_start_without_tables_says_which_command_helps(production: dict[str, str], migrated_database_url: str) -> None:
    done(operate("secrets", "init", settings=production))
    none = serve(production | {"IDP_DATABASE_URL": f"{production['IDP_DATABASE_URL']}.none"})
    old = production | {"IDP_DATABASE_URL": migrated_database_url}
    engine = sa.create_engine(driver_url(migrated_database_url))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    older = serve(old)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    engine.dispose()
    empty = serve(old)
    told = ("there is no database yet", "the database has schema 0001, this version needs", "has no tables yet")
    for refused, words in zip((none, older, empty), told, strict=True):
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr
        assert "`idp db upgrade`" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_production_takes_no_invented_people_and_no_printed_secrets(production: dict[str, str], tmp_path: Path) -> None:
    done(operate("secrets", "init", settings=production))
    done(operate("db", "upgrade", settings=production))
    people = tmp_path / "people.json"
    number_alone = {
        name: value
        for name, value in DEMO_PEOPLE[0].document().items()
        if name in ("scheme", "number", "full_name", "birthdate", "gender")
    }
    people.write_text(json.dumps([number_alone]), "utf-8")
    refused = operate("citizens", "import", str(people), settings=production)
    assert refused.returncode == 2
    assert f"{people}: row 1: number" in refused.stderr
    people.write_text(json.dumps([DEMO_PEOPLE[0].document()]), "utf-8")
    refused = operate("citizens", "import", str(people), settings=production)
    assert f"{people}: row 1: password" in refused.stderr
    assert DEMO_PEOPLE[0].password not in refused.stderr
    refused = operate("clients", "apply", str(REGISTRATIONS / "etax.json"), settings=production)
    assert refused.returncode == 2
    assert "etax.json: client_secret" in refused.stderr
    assert "etax.json: redirect_uris" in refused.stderr
    assert done(operate("clients", "list", settings=production)) == ""


@pytest.fixture
def provider(production: dict[str, str], tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Yield port and client of a provider in production, as the proxy in front of it sees it."""
    done(operate("secrets", "init", settings=production))
    assert oct((tmp_path / "secrets").stat().st_mode)[-3:] == "700"
    done(operate("db", "upgrade", settings=production))
    assert "as it was" in done(operate("db", "upgrade", settings=production))
    document = json.loads((REGISTRATIONS / "library.json").read_text("utf-8")) | {
        "client_uri": "https://portal.example/",
        "redirect_uris": [REDIRECT_URI],
        "post_logout_redirect_uris": ["https://portal.example/out"],
        "backchannel_logout_uri": "https://portal.example/signin/backchannel-logout",
    }
    del document["client_id"], document["client_secret"]
    file = tmp_path / "portal.json"
    file.write_text(json.dumps(document), "utf-8")
    client_id = done(operate("clients", "apply", str(file), settings=production)).split("\t")[0]
    port = free_port()
    command = [sys.executable, "-m", "idp.cli", "serve", "--port", str(port), "--workers", "2"]
    server = Running(command, log=tmp_path / "serve.log", settings=production)
    try:
        server.until_it_answers(port)
        yield port, client_id
    finally:
        assert server.end() == 0
        assert server.family() == []


def test_production_keeps_the_browser_safe_behind_its_proxy(provider: tuple[int, str]) -> None:
    port, client_id = provider
    query = urlencode(
        {
            "client_id": client_id,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
    )
    headers = {"Host": "login.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", f"/authorize?{query}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 303
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-flow-")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        location = answer.headers["Location"].removeprefix(ISSUER)
        for _ in range(2):
            sent = headers | {"Cookie": cookie.partition(";")[0]}
            connection.request("GET", location, headers=sent)
            answer = connection.getresponse()
            page = answer.read().decode()
            location = (answer.headers["Location"] or "").removeprefix(ISSUER)
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=63072000")
        assert "form-action 'self' https://portal.example;" in answer.headers["Content-Security-Policy"]
        assert "login-form" in page
        assert "Thử nghiệm" not in page
        connection.request("GET", "/", headers=headers | {"Host": "elsewhere.example"})
        assert connection.getresponse().status == 400
