"""What PostgreSQL is asked for: statements and commits of a warm login, and how the hot statements find their rows.

Counts are exact where times are noise, so they are the gate (issue 2, section 7): at most 6 statements and 2 commits
for authorize, token and UserInfo, every one an index probe however many rows there are.
"""

import base64
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

import idp.agencies.models
import idp.oidc.statements
import idp.sso.models
from idp.app import create_app
from idp.core import settings, web
from idp.core.database import Change, Query, _postgres, _postgres_change, db
from tests import services
from tests.bench import seed

_VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_LOGGED = re.compile(r"\[(\d+)\] LOG:  (?:statement|execute [^:]*): (.*?)(?=\n[^\t]|\Z)", re.DOTALL)
_PORT = 8000
_QUIET = {"IDP_LOG_LEVEL": "WARNING"}

_ROWS = 100_000
_CLIENTS = 10_000
_HIGHEST_COST = 150.0
"""A probe costs about 8 of the planner's units, a scan of a seeded table thousands."""

_STATEMENTS = {
    f"{module.__name__.split('.')[1]}.{name}": value
    for module in (idp.sso.models, idp.oidc.statements, idp.agencies.models)
    for name, value in vars(module).items()
    if isinstance(value, Query | Change)
}


# --- counting -----------------------------------------------------------------------------------------------------


class _Log:
    """The server's log from here on, as far as it is about one database."""

    def __init__(self, postgresql: services.PostgreSQL, url: str) -> None:
        self._file = postgresql.run_directory / "postgresql" / "log"
        self._url = url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(self._url, autocommit=True) as connection:
            # For this database alone: other tests of this run share the server and its log.
            connection.execute(f"ALTER DATABASE \"{connection.info.dbname}\" SET log_statement = 'all'")  # type: ignore[arg-type]
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET log_duration = off')  # type: ignore[arg-type]
        self._from = 0

    def start(self) -> None:
        """Forget what was asked before."""
        self._from = self._file.stat().st_size

    def statements(self) -> list[str]:
        """Return what was asked since `start`, in order."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            found = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").fetchall()
            mine = connection.info.backend_pid
        backends = {pid for (pid,) in found} - {mine}
        with self._file.open("rb") as log:
            log.seek(self._from)
            text = log.read().decode("utf-8", "replace")
        return [" ".join(sql.split()) for pid, sql in _LOGGED.findall(text) if int(pid) in backends]


def _commits(statements: list[str]) -> int:
    """Return how often the server made something durable: explicit commits, and changes that commit by themselves."""
    commits, is_open = 0, False
    for statement in statements:
        if statement.upper().startswith("BEGIN"):
            is_open = True
        elif statement.upper().startswith(("COMMIT", "ROLLBACK")):
            commits += statement.upper().startswith("COMMIT")
            is_open = False
        elif not is_open and re.search(r"\b(INSERT|UPDATE|DELETE)\b", statement):
            commits += 1
    return commits


class _Login:
    """Warm logins through the whole application, one request after the other."""

    def __init__(self, site: seed.Site) -> None:
        self._site = site
        self._client = create_app(settings.load(site.environment | _QUIET)).test_client(use_cookies=False)
        self._provider = self._client.application.extensions[web.EXTENSION]
        self._turn = itertools.cycle(site.cookies)

    def authorize(self) -> str:
        answer = self._client.get(
            "/authorize",
            base_url=self._site.environment["IDP_ISSUER"],
            headers={"Cookie": next(self._turn)},
            query_string={
                "response_type": "code",
                "client_id": "bench-es256",
                "redirect_uri": seed.REDIRECT_URI,
                "scope": seed.SCOPE,
                "state": "s",
                "nonce": "n",
                "code_challenge": _CHALLENGE,
                "code_challenge_method": "S256",
            },
        )
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]

    def token(self, code: str) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": seed.REDIRECT_URI}
        answer = self._post("/token", form | {"code_verifier": _VERIFIER})
        assert answer.status_code == 200
        return str(answer.json["access_token"])

    def userinfo(self, token: str) -> None:
        base_url = self._site.environment["IDP_ISSUER"]
        answer = self._client.get("/userinfo", base_url=base_url, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert "name" in answer.json

    def introspect(self, token: str) -> None:
        assert self._post("/introspect", {"token": token}).json["active"] is True

    def whole(self) -> str:
        token = self.token(self.authorize())
        self.userinfo(token)
        return token

    def close(self) -> None:
        """Close the connections that the application keeps."""
        self._provider.hot_path._drop_idle()
        with self._client.application.app_context():
            db.engine.dispose()

    def _post(self, path: str, form: dict[str, str]) -> Any:
        pair = f"bench-es256:{self._site.secrets['bench-es256']}"
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return self._client.post(path, base_url=self._site.environment["IDP_ISSUER"], headers=headers, data=form)


@pytest.fixture
def warm(postgresql: services.PostgreSQL, migrated_postgres_url: str, tmp_path: Path) -> Iterator[tuple[_Login, _Log]]:
    """Yield a provider whose keys, clients and prepared statements are loaded, and the server's log."""
    site = seed.build(tmp_path, database_url=migrated_postgres_url, port=_PORT, clients=2, citizens=8)
    log = _Log(postgresql, migrated_postgres_url)
    login = _Login(site)
    for _ in site.cookies:
        # The first login of a citizen at a sector also makes the subject there.
        token = login.whole()
    login.introspect(token)
    yield login, log
    login.close()


def test_warm_login_keeps_to_its_statements_and_commits(warm: tuple[_Login, _Log]) -> None:
    login, log = warm
    log.start()
    login.whole()
    asked = log.statements()
    assert len(asked) >= 3, f"the log does not show what was asked: {asked}"
    assert len(asked) <= 6, asked
    assert _commits(asked) == 2, asked


def test_each_hot_request_keeps_to_its_statements_when_warm(warm: tuple[_Login, _Log]) -> None:
    login, log = warm
    log.start()
    code = login.authorize()
    at_authorize = log.statements()
    log.start()
    token = login.token(code)
    at_token = log.statements()
    log.start()
    login.userinfo(token)
    at_userinfo = log.statements()
    log.start()
    login.introspect(token)
    at_introspection = log.statements()
    # What they are today; performance.md, section 8 allows 3, 4 and 2.
    assert [len(asked) for asked in (at_authorize, at_token, at_userinfo, at_introspection)] == [2, 1, 1, 1]
    assert [_commits(asked) for asked in (at_authorize, at_token, at_userinfo, at_introspection)] == [1, 1, 0, 0]


# --- plans --------------------------------------------------------------------------------------------------------

# One row for each table that a plain login leaves empty.
_FIRST = (
    "INSERT INTO client_logo SELECT id, sha256('x'::bytea), 'image/png', 'x'::bytea FROM client LIMIT 1",
    "INSERT INTO resource_identifier SELECT 'https://api.example/', id FROM client LIMIT 1",
)
# Copies of a real row under other keys: (table, rows, the columns that differ).
_COPIES = (
    ("agency", _CLIENTS, "'id', md5('agency' || n)::uuid, 'slug', 'agency-' || n"),
    (
        "client",
        _CLIENTS,
        "'id', md5('client' || n)::uuid, 'client_id', 'client-' || n, 'agency_id', md5('agency' || n)::uuid",
    ),
    (
        "client_secret",
        _CLIENTS,
        (
            "'id', md5('secret' || n)::uuid, 'client_id', md5('client' || n)::uuid, "
            "'digest', sha256(('secret' || n)::bytea)"
        ),
    ),
    ("client_logo", _CLIENTS, "'client_id', md5('client' || n)::uuid"),
    ("resource_identifier", _CLIENTS, "'identifier', 'https://api.example/' || n"),
    ("citizen", _ROWS, "'id', md5('citizen' || n)::uuid"),
    ("pairwise_subject", _ROWS, "'citizen_id', md5('citizen' || n)::uuid, 'sub', 'sub-' || n"),
    ("consent", _ROWS, "'citizen_id', md5('citizen' || n)::uuid"),
    (
        "sso_session",
        _ROWS,
        (
            "'id', md5('session' || n)::uuid, 'citizen_id', md5('citizen' || n)::uuid, "
            "'digest', sha256(('session' || n)::bytea)"
        ),
    ),
    (
        "authorization_code",
        _ROWS,
        (
            "'digest', sha256(('code' || n)::bytea), 'citizen_id', md5('citizen' || n)::uuid, "
            "'session_id', md5('session' || n)::uuid"
        ),
    ),
    (
        "access_token",
        _ROWS,
        (
            "'digest', sha256(('token' || n)::bytea), 'code_digest', sha256(('code' || n)::bytea), "
            "'citizen_id', md5('citizen' || n)::uuid, 'session_id', md5('session' || n)::uuid"
        ),
    ),
    (
        "interaction",
        _ROWS,
        "'id', md5('interaction' || n)::uuid, 'handle_digest', sha256(('handle' || n)::bytea)",
    ),
)


@pytest.fixture(scope="module")
def large(
    postgresql: services.PostgreSQL, migrate: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection, with the server's own settings, to a database of 10,000 clients and 100,000 sessions."""
    name = postgresql.create(template=postgresql.template("lk_template", migrate))
    url = postgresql.url(name)
    site = seed.build(tmp_path_factory.mktemp("large"), database_url=url, port=_PORT, clients=2, citizens=8)
    login = _Login(site)
    login.whole()
    # A request without a session, so that one interaction is stored.
    login._turn = itertools.cycle(["lang=vi"])
    with pytest.raises(KeyError):
        login.authorize()
    login.close()
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True) as connection:
        # Foreign keys hold by construction; checking a million of them takes most of the time.
        connection.execute("SET session_replication_role = replica")
        for statement in _FIRST:
            connection.execute(statement)  # type: ignore[call-overload]
        for table, rows, keys in _COPIES:
            connection.execute(
                f"INSERT INTO {table} SELECT (jsonb_populate_record(one.t, jsonb_build_object({keys}))).* "  # type: ignore[arg-type]
                f"FROM (SELECT t FROM {table} AS t LIMIT 1) AS one CROSS JOIN generate_series(1, {rows}) AS n"
            )
        connection.execute("ANALYZE")
        yield connection
    postgresql.drop(name)


@pytest.mark.slow
@pytest.mark.xdist_group("large")
@pytest.mark.parametrize("name", _STATEMENTS)
def test_hot_statement_probes_indexes_when_tables_are_large(name: str, large: psycopg.Connection[Any]) -> None:
    statement = _STATEMENTS[name]
    sql = _postgres(statement.sql) if isinstance(statement, Query) else _postgres_change(statement)
    numbers: dict[str, int] = {}
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", sql)
    row = large.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered.replace('%%', '%')}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    plan = row[0][0]["Plan"]
    scanned = [node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"]
    assert scanned == [], f"{name} reads these from end to end"
    assert plan["Total Cost"] < _HIGHEST_COST


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
