"""`idp deliveries` and the runner in each worker of `idp serve`: they deliver, they tell, and they end when told to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.notify import notices
from idp.notify.notices import Notice
from idp.sso.models import LogoutBreaker, LogoutDelivery
from idp.sso.outbox import KEPT
from tests.listener import Listener, listening, register
from tests.provider import Portal, Provider, provider_at
from tests.services import free_port

ROOT = Path(__file__).parents[3]


@pytest.fixture
def provider(migrated_database_url: str, tmp_path: Path) -> Iterator[Provider]:
    """Yield a provider of its own: the commands are separate processes on its database."""
    with provider_at(migrated_database_url, tmp_path / "secrets") as made:
        yield made


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as opened:
        yield opened


def portal_of(provider: Provider, listener: Listener) -> Portal:
    portal = provider.portal()
    register(portal, backchannel_logout_uri=f"{listener.url}/out")
    return portal


def owe(provider: Provider, portal: Portal, **columns: Any) -> None:
    client = provider.services.clients.find(portal.client_id)
    assert client is not None
    now = clock.now()
    values = {"state": "pending", "attempts": 0, "created_at": now, "due_at": now, "expires_at": now + KEPT, **columns}
    row = LogoutDelivery(
        id=new_id(), session_id=new_id(), citizen_id=new_id(), client_id=client.id, sub="s" * 43, **values
    )
    with provider.app.app_context():
        db.session.add(row)
        db.session.commit()


def start(provider: Provider, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        "IDP_DATABASE_URL": provider.url.replace("+psycopg", ""),
        "IDP_SECRETS_DIR": str(provider.settings.secrets_dir),
        "IDP_ISSUER": provider.settings.issuer,
        "IDP_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "idp.cli", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def test_what_is_due_is_delivered_and_listed_when_asked(provider: Provider) -> None:
    with listening() as good, listening() as bad:
        first, second = portal_of(provider, good), portal_of(provider, bad)
        bad.status = 500
        for portal in (first, second):
            owe(provider, portal)
        owe(provider, second, state="given up", due_at=None, outcome="timeout", created_at=clock.now() - timedelta(1))
        with provider.app.app_context():
            notices.owe(new_id(), Notice.CODES_DISABLED, keyring=provider.services.keyring)
            db.session.commit()
        ran = output_of(start(provider, "deliveries", "run", "--once"))
        begun = {"logout": 2, "notices": 1}
        kinds = ("logout", "notices", "codes", "enrolments", "probes", "rechecks", "closings", "housekeeping")
        told, sealing, _ = ran.partition("sealing: ")
        assert told == "".join(f"{kind}: {begun.get(kind, 0)} started\n" for kind in kinds)
        # However many events there were until then.
        assert sealing
        provider.run(sa.update(LogoutBreaker).values(open_until=clock.now() + timedelta(minutes=1)))
        lines = [line.split("\t") for line in output_of(start(provider, "deliveries", "list")).splitlines()]
    assert lines[0] == [first.client_id, "0 pending", "1 confirmed", "0 refused", "0 given up", "status 200", "-"]
    assert lines[1][:6] == [second.client_id, "1 pending", "0 confirmed", "0 refused", "1 given up", "status 500"]
    assert lines[1][6].startswith("rests until 2")
    assert lines[2] == ["notice codes-disabled", "0 pending", "0 sent", "1 not sent", "0 given up", "no address"]
    only = output_of(start(provider, "deliveries", "list", "--client", first.client_id)).splitlines()
    assert [line.split("\t")[0] for line in only] == [first.client_id]
    unknown = start(provider, "deliveries", "list", "--client", "nobody")
    assert unknown.communicate(timeout=60)[0] == "there is no client nobody\n"
    assert unknown.returncode == 2


@pytest.mark.parametrize("command", ["serve", "deliveries"])
def test_it_delivers_until_told_to_stop_and_finishes_what_it_has_begun(
    provider: Provider, listener: Listener, command: str
) -> None:
    portal = portal_of(provider, listener)
    owe(provider, portal)
    arguments = {"serve": ("serve", "--port", str(free_port()), "--workers", "2"), "deliveries": ("deliveries", "run")}
    process = start(provider, *arguments[command])
    try:
        listener.wait_for(1, seconds=30)
        listener.hold.clear()
        owe(provider, portal)
        listener.wait_for(2, seconds=30)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        listener.hold.set()
        output_of(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert provider.scalars(sa.select(LogoutDelivery.state)) == ["confirmed", "confirmed"]
