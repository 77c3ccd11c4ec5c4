"""The rights on PostgreSQL, given to two real roles: the one that serves adds events and touches nothing sealed."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from idp.audit import grants
from tests.unit.audit.trail import Trail, trail_at

TABLES = ("audit_event", "audit_leaf", "audit_node", "audit_checkpoint", "audit_sealer")


@pytest.fixture
def owner(migrated_postgres_url: str, tmp_path: Path) -> Iterator[Trail]:
    with trail_at(migrated_postgres_url, tmp_path / "audit.pem") as made:
        yield made


def as_role(owner: Trail, role: str) -> str:
    return owner.url.replace("postgres@", f"{role}@", 1)


def test_the_application_adds_events_and_the_sealer_seals_them(owner: Trail) -> None:
    names = [f"{name}_{secrets.token_hex(4)}" for name in ("web", "sealer")]
    for name in names:
        owner.sql(f"CREATE ROLE {name} LOGIN")
    try:
        with owner.engine.begin() as connection:
            for line in grants.script(*names).splitlines()[1:-1]:
                connection.execute(sa.text(line))
        with trail_at(as_role(owner, names[0]), owner.key_file) as web:
            web.write(3)
            assert web.verify().unsealed == 3
            with trail_at(as_role(owner, names[1]), owner.key_file) as sealer:
                sealer.seal()
                assert sealer.found() == []
                for statement in ("UPDATE audit_event SET outcome = 'x'", "UPDATE audit_leaf SET seq = 9"):
                    refused(sealer, statement)
            for table in TABLES:
                refused(web, f"DELETE FROM {table}")
                refused(web, f"TRUNCATE {table}")
            for statement in ("UPDATE audit_event SET outcome = 'x'", "UPDATE audit_sealer SET size = 0"):
                refused(web, statement)
            refused(web, "INSERT INTO audit_node VALUES (1, 0, 'x')")
        assert owner.found() == []
    finally:
        for name in names:
            owner.sql(f"DROP OWNED BY {name}")
            owner.sql(f"DROP ROLE {name}")


def refused(trail: Trail, statement: str) -> None:
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        trail.sql(statement)
