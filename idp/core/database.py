"""The database: engine settings, column types, and the two ways to speak to it.

Owns the ORM's `db` (administration, sign-in pages, everything a person waits for anyway) and the *hot path*
(`HotPath`: authorize with a session, token, userinfo), which sends prepared statements over its own connection
in autocommit, because an ORM statement costs 0.5-0.7 ms of CPU and a prepared one 0.05-0.09 (shared
performance.md, 6). Leaves the statements themselves to the `models` of each room.

One request uses one of the two at a time: an ORM unit of work is committed before a hot statement starts.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast
from uuid import UUID

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.engine import Engine
from sqlalchemy.engine.url import make_url
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from idp.core import clock

STATEMENT_TIMEOUT_MS = 2_500
LOCK_TIMEOUT_MS = 2_000
SQLITE_BUSY_SECONDS = 5.0
# Of the hot path, in each worker process.
MOST_CONNECTIONS = 8
CONNECTION_WAIT_SECONDS = 5.0
# Every statement of the hot path is an index probe (tests/bench/test_statements.py, without these). Left alone,
# PostgreSQL plans them while the tables are still empty, keeps sequential scans until the next ANALYZE, and a login
# costs more with each one before it: 0.8 ms grew to 2.7 in six thousand logins, against 0.5 that stay.
_PROBES_ONLY = "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off"
# In a session's `info`: its transaction, and when that began.
_BEGUN = "begun"
_SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%f"


class DatabaseUnavailable(Exception):
    """The database did not answer, or refused for want of a connection, lock or time."""


class Model(DeclarativeBase):
    """Declarative root of every table, with names for all constraints so that migrations can drop them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Model, session_options={"expire_on_commit": False})


class Instant(TypeDecorator[datetime]):
    """A point in time: `timestamp with time zone` on PostgreSQL, UTC text on SQLite; always aware in Python."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime reached the database")
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Json(TypeDecorator[Any]):
    """A JSON document kept as text on every database, so that the hot path reads it without a driver's help."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


def driver_url(url: str) -> str:
    """Return `url` with the psycopg 3 driver for a PostgreSQL without one, and an absolute path for an SQLite file.

    Flask-SQLAlchemy would look for a relative path in Flask's instance folder, and the migrations in the current one.
    """
    if url.startswith("postgresql://"):
        return "postgresql+psycopg://" + url.removeprefix("postgresql://")
    path = url.removeprefix("sqlite:///")
    if path == url or path in ("", ":memory:") or path.startswith("file:"):
        return url
    return f"sqlite:///{Path(path).absolute()}"


def engine_options(url: str) -> dict[str, Any]:
    """Return the engine settings for `url`: pools, and the time limits that keep one lock from stopping all."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": SQLITE_BUSY_SECONDS}}
    return {
        "pool_pre_ping": True,
        "pool_size": 5,
        "max_overflow": 5,
        "pool_timeout": 5,
        "connect_args": {"options": _postgres_options(), "connect_timeout": 5},
    }


def _postgres_options() -> str:
    return f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} -c timezone=UTC"


def prepare_engine(engine: Engine) -> None:
    """Set what SQLite needs per connection and make each of its transactions start as a writer.

    `BEGIN IMMEDIATE` because a reader that becomes a writer half-way cannot wait for the lock and fails at once.
    """
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        _set_sqlite_pragmas(connection)

    @sa.event.listens_for(engine, "begin")
    def begin_immediate(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _set_sqlite_pragmas(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL, not NORMAL: after a power cut a spent code must not come back.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


# --- the hot path -----------------------------------------------------------------------------------------------

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


@dataclass(frozen=True)
class Query:
    """One statement of the hot path in the SQL both databases share.

    Parameters are written `:name`. `{now}` stands for the database's clock and `{after_NAME}` for that clock plus
    the seconds in parameter `:NAME` (in a `Change` also `{after_first_COLUMN}`), `{ago_COLUMN}` for it less the seconds
    in a column of the row; the database, not the worker, decides when one-time things expire. `{skip_locked}` ends a
    sub-select of one row to be changed: rows that somebody else is just taking are passed over. `{hold}` ends one
    whose row must stay as it is until the commit: who is changing it is waited for, and the row looked at again.
    """

    sql: str


@dataclass(frozen=True)
class Change:
    """Writes of the hot path that stand or fall together, committed as one.

    `first` is one INSERT or UPDATE of one row. The parts of `then` are to run only if it touched a row: each says so
    with the condition `{if_first}`, or takes columns of `returning` by `INSERT ... SELECT {first.column} ...
    {from_first} WHERE ...`. PostgreSQL gets a single
    statement (a chain of data-modifying CTEs, one round trip); SQLite the same parts inside one `BEGIN IMMEDIATE`.

    Each of the `gates`, in their order, spends or counts something before `first`, whatever becomes of that; where one
    touches no row it is shut, and nothing after it runs. A `first`, and every gate but the first, may stand behind a
    gate and says `{if_open}`.

    What `before` changes, it changes whatever becomes of the rest. Its rows are locked before those of `first` if that
    says `{in_order}`, as every part of `before` but the first one does: who locks in two orders waits for each other.

    `is_awaited` False returns before PostgreSQL has it on its disk: a crash of the database within the next second
    loses it whole. For what a flood brings, and nobody waits for or relies on; the next awaited commit takes it along.
    """

    first: str
    then: tuple[str, ...] = ()
    returning: tuple[str, ...] = field(default=())
    gates: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    is_awaited: bool = True


class GateShut(Exception):
    """A gate of a `Change` was shut, the one with the index `gate`. What those before it spent stays spent."""

    def __init__(self, gate: int) -> None:
        super().__init__()
        self.gate = gate


Row: TypeAlias = Mapping[str, Any]


class HotPath(Protocol):
    """Prepared statements over one connection per thread, in autocommit.

    Every method raises DatabaseUnavailable when the database does not answer; a `Change` that raised it may or may
    not have been committed, so callers never assume it was not.
    """

    def one(self, query: Query, parameters: Row) -> Row | None:
        """Return the first row of `query` by column name, or None. Retried once on a dropped connection."""

    def apply(self, change: Change, parameters: Row) -> Row | None:
        """Apply `change`; return the `returning` columns of its first part, or None if that touched no row.

        Raises GateShut, only for a change with gates.
        """


class _PostgresColumns:
    def __getattr__(self, name: str) -> str:
        return f"first.{name}"


class _SqliteColumns:
    def __getattr__(self, name: str) -> str:
        return f":first_{name}"


class _Clock(dict[str, Any]):
    """Answers `{after_NAME}` with the dialect's expression, for a parameter or (`first_COLUMN`) a returned column, and
    `{ago_COLUMN}`."""

    def __init__(self, known: Mapping[str, Any], after: str) -> None:
        super().__init__(known)
        self._after = after

    def __missing__(self, name: str) -> str:
        if name.startswith("ago_"):
            return self._after.replace("SECONDS", f"(-{name.removeprefix('ago_')})")
        if not name.startswith("after_"):
            raise KeyError(name)
        seconds = name.removeprefix("after_")
        if seconds.startswith("first_"):
            return self._after.replace("SECONDS", str(getattr(self["first"], seconds.removeprefix("first_"))))
        return self._after.replace("SECONDS", ":" + seconds)


class PostgresHotPath:
    """The hot path over psycopg, prepared on first use.

    Connections are few and taken last-in-first-out: a worker has many threads, for people whose passwords are being
    hashed, but its interpreter runs one statement's Python at a time, and idle connections are memory of PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        parts = make_url(url).set(drivername="postgresql")
        self._conninfo = parts.render_as_string(hide_password=False)
        self._idle: list[Any] = []
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._sql: dict[Query | Change, str] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    def one(self, query: Query, parameters: Row) -> Row | None:
        sql = self._sql.get(query) or self._sql.setdefault(query, _postgres(query.sql))
        try:
            return self._execute(sql, parameters)
        except DatabaseUnavailable:
            # A dropped connection is noticed only on use; reading again is safe.
            return self._execute(sql, parameters)

    def apply(self, change: Change, parameters: Row) -> Row | None:
        sql = self._sql.get(change) or self._sql.setdefault(change, _postgres_change(change))
        row = self._execute(sql, parameters)
        if not change.gates:
            return row
        assert row is not None
        if row["passed"] < len(change.gates):
            raise GateShut(row["passed"])
        return row if row["is_first"] else None

    def _execute(self, sql: str, parameters: Row) -> Row | None:
        import psycopg  # noqa: PLC0415 (the extra `postgres`: absent where SQLite is enough)

        if not self._places.acquire(timeout=CONNECTION_WAIT_SECONDS):
            raise DatabaseUnavailable("no connection free")
        try:
            cursor = self._take()
            try:
                row = cursor.execute(sql, parameters, prepare=True).fetchone()
                if row is not None and sql not in self._names:
                    # While the cursor is still ours: whoever takes it next gives it other columns.
                    self._names[sql] = tuple(column.name for column in cursor.description)
            except BaseException:
                if cursor.connection.broken:
                    # When the server went away, it went away for all of them.
                    self._drop_idle()
                cursor.connection.close()
                raise
            self._idle.append(cursor)
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
            raise DatabaseUnavailable(type(error).__name__) from error
        finally:
            self._places.release()
        if row is None:
            return None
        # A statement's columns never change: psycopg's own dict rows would read their names anew for each row.
        return dict(zip(self._names[sql], row, strict=True))

    def _take(self) -> Any:
        """Return the cursor of an idle connection, or of a new one. A connection keeps one: a new cursor for each
        statement would look up the loaders of its columns anew."""
        import psycopg  # noqa: PLC0415 (see _execute)

        try:
            return self._idle.pop()
        except IndexError:
            return psycopg.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=5,
                options=f"{_postgres_options()} {_PROBES_ONLY}",
                prepare_threshold=0,
            ).cursor()

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for cursor in idle:
            cursor.connection.close()


def _postgres(sql: str, *, after: str | None = None) -> str:
    """Render a statement, or a part of one that waits for the part `after`."""
    known = {
        "if_open": "1 = 1" if after is None else f"EXISTS (SELECT 1 FROM {after})",  # noqa: S608 (a name from below)
        "in_order": "1 = 1" if after is None else f"(SELECT count(*) FROM {after}) >= 0",  # noqa: S608
        "now": "now()",
        "first": _PostgresColumns(),
        "from_first": "FROM first",
        "if_first": "EXISTS (SELECT 1 FROM first)",
        "skip_locked": "FOR UPDATE SKIP LOCKED",
        "hold": "FOR SHARE",
    }
    clock = _Clock(known, "(now() + make_interval(secs => SECONDS))")
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%").format_map(clock))


def _postgres_change(change: Change) -> str:
    parts, last = [], None
    for number, sql in enumerate((*change.before, *change.gates)):
        parts.append(f"before{number} AS ({_postgres(sql, after=last)} RETURNING 1)")
        last = f"before{number}"
    returning = ", ".join(change.returning) or "1 AS done"
    flag = ", true AS is_first" if change.gates else ""
    first = _postgres(f"{change.first} RETURNING {returning}{flag}", after=last)
    parts.append(f"first AS ({first})")
    parts += [f"part{number} AS ({_postgres(sql)})" for number, sql in enumerate(change.then)]
    chain = f"WITH {', '.join(parts)} SELECT first.*"
    # For this transaction alone, which is this statement; asked for once, before any row.
    condition = "" if change.is_awaited else " WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'"
    if not change.gates:
        return f"{chain} FROM first{condition}"
    gates = range(len(change.before), len(change.before) + len(change.gates))
    passed = " + ".join(f"(SELECT count(*) FROM before{number})" for number in gates)  # noqa: S608 (our own numbers)
    return f"{chain}, {passed} AS passed FROM (SELECT 1) AS one LEFT JOIN first ON true{condition}"


class SqliteHotPath:
    """The hot path over the standard library's sqlite3."""

    def __init__(self, url: str) -> None:
        self._path = make_url(url).database or ":memory:"
        self._local = threading.local()
        self._sql: dict[str, str] = {}

    def one(self, query: Query, parameters: Row) -> Row | None:
        try:
            return _row(self._connection().execute(self._render(query.sql), _sqlite_values(parameters)))
        except sqlite3.OperationalError as error:
            raise DatabaseUnavailable(type(error).__name__) from error

    def apply(self, change: Change, parameters: Row) -> Row | None:
        connection = self._connection()
        values = _sqlite_values(parameters)
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for sql in change.before:
                    connection.execute(self._render(sql), values)
                self._pass(change.gates, connection, values)
                returning = ", ".join(change.returning) or "1 AS done"
                row = _row(connection.execute(self._render(f"{change.first} RETURNING {returning}"), values))
                if row is not None:
                    values |= {f"first_{name}": value for name, value in row.items()}
                    for sql in change.then:
                        connection.execute(self._render(sql), values)
                connection.execute("COMMIT")
                return row
            except GateShut:
                connection.execute("COMMIT")
                raise
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise DatabaseUnavailable(type(error).__name__) from error

    def _pass(self, gates: tuple[str, ...], connection: sqlite3.Connection, values: dict[str, Any]) -> None:
        for number, sql in enumerate(gates):
            if connection.execute(f"{self._render(sql)} RETURNING 1", values).fetchone() is None:
                raise GateShut(number)

    def _render(self, sql: str) -> str:
        rendered = self._sql.get(sql)
        if rendered is None:
            now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
            after = "strftime('%Y-%m-%d %H:%M:%f000', 'now', SECONDS || ' seconds')"
            known = {
                "now": now,
                "first": _SqliteColumns(),
                "from_first": "",
                "if_first": "1 = 1",
                "if_open": "1 = 1",
                "in_order": "1 = 1",
                "skip_locked": "",
                "hold": "",
            }
            clock = _Clock(known, after)
            rendered = self._sql[sql] = sql.format_map(clock)
        return rendered

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=SQLITE_BUSY_SECONDS)
            connection.row_factory = sqlite3.Row
            _set_sqlite_pragmas(connection)
            self._local.connection = connection
        return connection


def _row(cursor: sqlite3.Cursor) -> Row | None:
    row = cursor.fetchone()
    return None if row is None else {name: row[name] for name in row.keys()}  # noqa: SIM118 (sqlite3.Row iterates values)


def _sqlite_values(parameters: Row) -> dict[str, Any]:
    return {name: _sqlite_value(value) for name, value in parameters.items()}


def _sqlite_value(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(_SQLITE_TIME)
    return value


def hot_path(url: str) -> HotPath:
    """Return the hot path for the database at `url`."""
    return SqliteHotPath(url) if url.startswith("sqlite") else PostgresHotPath(url)


def database_now() -> datetime:
    """Return the instant by the clock that judges expiries: the database's, inside the ORM's transaction.

    A worker whose own clock is ten minutes slow must not open sessions that are over when they begin.
    """
    if db.session.get_bind().dialect.name == "sqlite":
        return clock.now()
    session = db.session()
    known = session.info.get(_BEGUN)
    if known is not None and known[0] is session.get_transaction():
        # PostgreSQL's now() is when the transaction began: it is asked once. What a question flushes is flushed.
        if session.autoflush:
            session.flush()
        return cast(datetime, known[1])
    instant: datetime = session.execute(sa.select(sa.func.now())).scalar_one()
    session.info[_BEGUN] = (session.get_transaction(), instant)
    return instant


def as_uuid(value: UUID | str) -> UUID:
    """Return a row key as the hot path gave it (UUID on PostgreSQL, hex on SQLite) as a UUID."""
    return value if isinstance(value, UUID) else UUID(value)


def as_instant(value: datetime | str) -> datetime:
    """Return a time as the hot path gave it (aware on PostgreSQL, UTC text on SQLite) as an aware datetime."""
    if isinstance(value, datetime):
        return value
    return datetime.strptime(value, _SQLITE_TIME).replace(tzinfo=UTC)


def split_words(value: str | None) -> Sequence[str]:
    """Return the words of a space-separated column (scopes, claims, amr), none for an empty one."""
    return tuple(value.split()) if value else ()
