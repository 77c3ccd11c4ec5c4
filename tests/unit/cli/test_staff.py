"""`idp staff`: the first owner comes by mail, nobody is named, and the last one stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from idp.cli import staff
from idp.cli.shared import Refused
from idp.core.database import db
from idp.staff import invitations, members
from idp.staff.rights import Role
from tests.provider import ISSUER, Provider, provider_at


@pytest.fixture
def provider(migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with provider_at(migrated_sqlite_url, tmp_path / "secrets") as made:
        monkeypatch.setenv("IDP_DATABASE_URL", migrated_sqlite_url)
        monkeypatch.setenv("IDP_SECRETS_DIR", str(tmp_path / "secrets"))
        monkeypatch.setenv("IDP_ISSUER", ISSUER)
        yield made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(staff.group, arguments)


def test_staff_is_invited_listed_and_ended(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = call("invite", "mai@vi-du.example", "--role", "owner")
    assert (refused.exit_code, "IDP_MAIL_SERVER" in refused.output) == (Refused.exit_code, True)
    monkeypatch.setenv("IDP_MAIL_SERVER", "smtps://mail.example")
    monkeypatch.setenv("IDP_MAIL_FROM", "LienKet <no-reply@dangnhap.example>")
    assert call("invite", "nobody", "--role", "owner").exit_code == Refused.exit_code
    assert call("invite", "mai@vi-du.example", "--role", "developer").exit_code == Refused.exit_code
    assert "72 hours" in call("invite", "mai@vi-du.example", "--role", "owner").output
    person = provider.citizen(totp=False)
    with provider.app.app_context():
        assert [each.role for each in invitations.waiting(provider.services.keyring)] == [Role.OWNER]
        owner = members.join(person.id, Role.OWNER, by=None)
        db.session.commit()
    assert call("list").output.startswith(f"{owner.hex}\towner\tsince ")
    last = call("end", owner.hex)
    assert (last.exit_code, "last owner" in last.output) == (Refused.exit_code, True)
    with provider.app.app_context():
        members.join(provider.citizen(totp=False).id, Role.OWNER, by=None)
        db.session.commit()
    assert call("end", owner.hex).output == "ended\towner\n"
    assert call("end", owner.hex).exit_code == Refused.exit_code
