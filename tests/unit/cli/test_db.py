"""The schema: models and migrations agree, upgrades are safe to repeat, to undo and to run twice at once."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from idp.cli import db as schema
from idp.cli.shared import Refused
from idp.core.database import Model, driver_url
from idp.ops import housekeeping

ROOT = Path(__file__).parents[3]
NEWEST = ScriptDirectory.from_config(schema.configuration()).get_current_head()


def tables(url: str) -> set[str]:
    engine = sa.create_engine(driver_url(url))
    try:
        return set(sa.inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def test_models_and_migrations_agree_when_upgraded(database_url: str) -> None:
    assert housekeeping.ROOMS  # imports every table
    schema.upgrade(database_url)
    engine = sa.create_engine(driver_url(database_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Model.metadata) == []
    engine.dispose()
    assert tables(database_url) == set(Model.metadata.tables)


def test_upgrade_does_nothing_when_repeated(database_url: str) -> None:
    before, after = schema.upgrade(database_url)
    assert (before, after) == (None, NEWEST)
    assert schema.upgrade(database_url) == (NEWEST, NEWEST)


def test_downgrade_leaves_nothing_when_taken_to_base(database_url: str) -> None:
    schema.upgrade(database_url)
    assert schema.downgrade(database_url, target="base") == (NEWEST, None)
    assert tables(database_url) == set()
    assert schema.upgrade(database_url) == (None, NEWEST)


def filled(url: str) -> dict[str, int]:
    """Put one row into every table there is, each pointing where it must; return the rows of each."""
    engine = sa.create_engine(driver_url(url))
    known = sa.MetaData()
    known.reflect(engine)
    key = UUID(int=7)

    def value(column: sa.Column[Any]) -> object:
        kinds: dict[type, object] = {UUID: key, datetime: datetime(2026, 11, 29, tzinfo=UTC), bool: True, int: 1}
        kind = column.type.python_type
        if kind is bytes:
            return bytes(32)
        if kind is str:
            # A UUID is 32 hexadecimal digits in SQLite.
            length = getattr(column.type, "length", None)
            return key.hex if length == 32 else "{}"[:length]
        return kinds[kind]

    with engine.begin() as connection:
        for table in known.sorted_tables:
            if table.name != "alembic_version":
                row = {each.name: value(each) for each in table.columns if not each.foreign_keys or not each.nullable}
                connection.execute(sa.insert(table).values(row))
    engine.dispose()
    return rows(url)


def rows(url: str) -> dict[str, int]:
    engine = sa.create_engine(driver_url(url))
    with engine.connect() as connection:
        found = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) or 0
            for name in sa.inspect(connection).get_table_names()
        }
    engine.dispose()
    return found


def test_rows_of_the_last_release_are_kept_by_upgrade_and_downgrade(database_url: str) -> None:
    schema.upgrade(database_url, target="0006")
    before = filled(database_url)
    assert set(before.values()) == {1}
    schema.upgrade(database_url)
    after = rows(database_url)
    assert {name: after[name] for name in before} == before
    schema.downgrade(database_url, target="0006")
    assert rows(database_url) == before


def test_upgrade_leaves_nothing_when_it_fails_half_way(database_url: str) -> None:
    engine = sa.create_engine(driver_url(database_url))
    with engine.begin() as connection:
        # In the way of the last table, so that most are made before it fails.
        connection.execute(sa.text("CREATE TABLE totp_credential (id integer)"))
    engine.dispose()
    with pytest.raises(Refused):
        schema.upgrade(database_url)
    assert tables(database_url) == {"totp_credential"}


def test_all_upgrades_succeed_when_run_at_once(database_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"IDP_DATABASE_URL": database_url, "IDP_SECRETS_DIR": str(tmp_path / "secrets")}
    command = [sys.executable, "-m", "idp.cli", "db", "upgrade"]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in running]
    assert [(errors, status) for _, errors, status in ended] == [("", 0)] * 4
    lines = [line for output, _, _ in ended for line in output.splitlines()]
    assert sorted(line for line in lines if line.startswith("schema")) == [
        *[f"schema {NEWEST} (as it was)"] * 3,
        f"schema {NEWEST}, was empty",
    ]
    # One keyring, and one first key for each algorithm, whoever was first.
    assert sorted(line.split()[-2:] for line in lines if line.startswith("signing key")) == [
        ["ES256", "active"],
        ["PS256", "active"],
        ["RS256", "active"],
    ]


def test_upgrade_is_refused_when_the_database_is_newer(database_url: str) -> None:
    schema.upgrade(database_url)
    engine = sa.create_engine(driver_url(database_url))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Refused, match="newer"):
        schema.upgrade(database_url)


def test_refusal_keeps_the_password_when_the_database_is_away() -> None:
    with pytest.raises(Refused) as refused:
        schema.upgrade("postgresql://somebody:Geheim1@127.0.0.1:1/nothing")
    assert "Geheim1" not in refused.value.message


def test_every_expiry_column_is_indexed_when_rows_are_deleted_by_it() -> None:
    for table, column, _ in housekeeping.expiring():
        columns = [list(index.columns) for index in Model.metadata.tables[table].indexes]
        assert any(first[0].name == column for first in columns), (table, column)
