"""How PostgreSQL finds the rows of the hot statements in a large country: by an index, every one of them."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import idp.agencies.models
import idp.oidc
import idp.sso.models
import idp.sso.opening
import idp.upstream.familiar
from idp.core.database import Change, Query, _postgres, _postgres_change
from tests import services
from tests.bench import seed
from tests.bench.application import PORT, Application
from tests.bench.load import Unit, Wrong
from tests.bench.units import Requests

_ROWS = 100_000
_CLIENTS = 10_000
_FEWER = 20_000
"""Of what lives for minutes or belongs to few."""
_HIGHEST_COST = 150.0
"""A probe costs about 8 of the planner's units, a scan of a seeded table thousands."""


def _statements() -> dict[Query | Change, str]:
    """Return every statement of the hot path with its name; of the modules that import it too, its own names it."""
    names = [found.name for found in pkgutil.walk_packages(idp.oidc.__path__, "idp.oidc.")]
    modules = [importlib.import_module(name) for name in names]
    modules.sort(key=lambda module: not module.__name__.endswith((".models", ".statements")))
    found: dict[Query | Change, str] = {}
    for module in (idp.sso.models, idp.sso.opening, idp.upstream.familiar, idp.agencies.models, *modules):
        for name, value in vars(module).items():
            if isinstance(value, Query | Change):
                found.setdefault(value, f"{module.__name__.removeprefix('idp.')}.{name}")
    return found


_STATEMENTS = _statements()

# One row for each table that a plain login leaves empty.
_FIRST = (
    "INSERT INTO client_logo SELECT id, sha256('x'::bytea), 'image/png', 'x'::bytea FROM client LIMIT 1",
    (
        "INSERT INTO upstream_provider (id, slug, state, document, version, created_at, updated_at) "
        "VALUES (md5('provider')::uuid, 'provider', 'enabled', '{}', 1, now(), now())"
    ),
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
    (
        "citizen_number",
        _ROWS,
        "'id', md5('number' || n)::uuid, 'citizen_id', md5('citizen' || n)::uuid, 'number_index', md5('index' || n)",
    ),
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
    ("pushed_request", _FEWER, "'digest', sha256(('pushed' || n)::bytea), 'client_id', md5('client' || n)::uuid"),
    (
        "offline_grant",
        _FEWER,
        (
            "'id', md5('grant' || n)::uuid, 'code_digest', sha256(('code' || n)::bytea), "
            "'citizen_id', md5('citizen' || n)::uuid, 'session_id', md5('session' || n)::uuid"
        ),
    ),
    ("assertion_jti", _FEWER, "'digest', sha256(('jti' || n)::bytea)"),
    ("dpop_proof", _FEWER, "'digest', sha256(('proof' || n)::bytea)"),
)

# Rows of tables that a login leaves empty: (table, rows, columns, values). Of deliveries few are due.
_MADE = (
    (
        "decoupled_request",
        _FEWER,
        "digest, kind, client_id, citizen_id, request, shown, seconds_between_polls, is_hasty, created_at, expires_at",
        (
            "sha256(('device' || n)::bytea), 'device', md5('client' || n)::uuid, md5('citizen' || n)::uuid, "
            "'', '', 5, false, now(), now() + interval '10 minutes'"
        ),
    ),
    (
        "logout_delivery",
        _FEWER,
        "id, session_id, citizen_id, client_id, sub, state, attempts, created_at, due_at, expires_at",
        (
            "md5('delivery' || n)::uuid, md5('session' || n)::uuid, md5('citizen' || n)::uuid, "
            f"md5('client' || n % {_CLIENTS})::uuid, 'sub', 'confirmed', 1, now(), "
            "CASE WHEN n % 2000 = 0 THEN now() END, now() + interval '30 days'"
        ),
    ),
    (
        "provider_choice",
        _FEWER,
        "citizen_id, provider_id, is_allowed, changed_at",
        "md5('citizen' || n)::uuid, md5('provider')::uuid, true, now()",
    ),
    (
        "other_providers",
        _FEWER,
        "citizen_id, are_allowed, changed_at",
        "md5('citizen' || n)::uuid, true, now()",
    ),
    (
        "upstream_identity",
        _FEWER,
        "provider_id, subject_index, index_key_id, citizen_id, created_at, last_used_at",
        "md5('provider')::uuid, md5('subject' || n), 'key', md5('citizen' || n)::uuid, now(), now()",
    ),
    (
        "upstream_login",
        _FEWER,
        "id, state_digest, provider_id, interaction_id, journey, created_at, expires_at",
        (
            "md5('login' || n)::uuid, sha256(('state' || n)::bytea), md5('provider')::uuid, "
            "md5('interaction' || n)::uuid, '', now(), now() + interval '10 minutes'"
        ),
    ),
    ("logout_breaker", _CLIENTS, "client_id, failures", "md5('client' || n)::uuid, 0"),
)


@pytest.fixture(scope="module")
def large(
    postgresql: services.PostgreSQL, migrate: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection, with the server's own settings, to a database of 10,000 clients and 100,000 sessions."""
    name = postgresql.create(template=postgresql.template("lk_template", migrate))
    url = postgresql.url(name)
    site = seed.build(tmp_path_factory.mktemp("large"), database_url=url, port=PORT, clients=0, citizens=8)
    application = Application(site)
    asked = application.requests
    application.do(asked.sso("ES256"), asked.fapi_offline.login())
    # A request without a session, so that one interaction is stored.
    with pytest.raises(Wrong):
        application.do(_authorize_as_a_stranger(asked))
    application.close()
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
        for table, rows, columns, values in _MADE:
            connection.execute(
                f"INSERT INTO {table} ({columns}) SELECT {values} FROM generate_series(1, {rows}) AS n"  # type: ignore[arg-type]
            )
        connection.execute("ANALYZE")
        yield connection
    postgresql.drop(name)


def _authorize_as_a_stranger(requests: Requests) -> Unit:
    requests._code_of((yield requests._authorize(seed.client_id("ES256"), "lang=vi")))


@pytest.mark.slow
@pytest.mark.xdist_group("large")
@pytest.mark.parametrize("statement", _STATEMENTS, ids=_STATEMENTS.get)
def test_hot_statement_probes_indexes_when_tables_are_large(
    statement: Query | Change, large: psycopg.Connection[Any]
) -> None:
    sql = _postgres(statement.sql) if isinstance(statement, Query) else _postgres_change(statement)
    numbers: dict[str, int] = {}
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", sql)
    if "grant_id" in numbers:
        # Where nothing beside it says so; psycopg sends its type.
        numbered = re.sub(rf"\${numbers['grant_id']}\b", r"\g<0>::uuid", numbered)
    row = large.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered.replace('%%', '%')}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    plan = row[0][0]["Plan"]
    scanned = [node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"]
    assert scanned == [], "it reads these from end to end"
    assert plan["Total Cost"] < _HIGHEST_COST


@pytest.mark.slow
@pytest.mark.xdist_group("large")
def test_proofs_wait_for_no_disk(large: psycopg.Connection[Any]) -> None:
    found = large.execute("SELECT relpersistence FROM pg_class WHERE relname = 'dpop_proof'").fetchone()
    assert found == ("u",)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
