"""The schema: models and migrations agree, upgrades are safe to repeat, to undo and to run twice at once."""

import os
import subprocess
import sys
from pathlib import Path

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
