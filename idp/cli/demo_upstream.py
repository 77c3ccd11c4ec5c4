"""The identity provider that the demo federates: "Bưu điện ID", a second instance of this very code.

Owns what the two have to know of each other, and the second one's start: it makes its data in a process of its own,
beside the first one's, and then serves in it. Leaves starting, telling and ending to demo.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

HOST = "127.0.0.1"
"""Where it is found. Cookies do not tell ports apart, so it must not be called as the first provider is."""
NAME = "Bưu điện ID"
USUAL_PORT = 8004
_USUAL_OURS = "http://localhost:8000"
_DOCUMENTS = Path(__file__).resolve().parents[2] / "clients" / "upstream"


def issuer(port: int) -> str:
    """Return its issuer identifier."""
    return f"http://{HOST}:{port}"


def environment(port: int, ours: dict[str, str], directory: Path) -> dict[str, str]:
    """Return its settings: those of the first provider, with a name, data and secrets of its own."""
    home = directory / "buu-dien"
    home.mkdir(parents=True, exist_ok=True)
    return ours | {
        "IDP_ISSUER": issuer(port),
        "IDP_SERVICE_NAME": NAME,
        "IDP_DATABASE_URL": f"sqlite:///{(home / 'lienket.sqlite3').resolve()}",
        "IDP_SECRETS_DIR": str((home / "secrets").resolve()),
        "IDP_MAIL_FOLDER": str((home / "mail").resolve()),
        "IDP_MAIL_FROM": "Buu dien ID <no-reply@buudien.example>",
    }


def provider_document(port: int) -> dict[str, Any]:
    """Return what the first provider has on record of it."""
    return _document("provider", f"http://{HOST}:{USUAL_PORT}", issuer(port))


def client_document(ours: str) -> dict[str, Any]:
    """Return the registration of the first provider, whose issuer is `ours`, as its client."""
    return _document("client", _USUAL_OURS, ours)


def _document(name: str, usual: str, chosen: str) -> dict[str, Any]:
    text = (_DOCUMENTS / f"{name}.json").read_text("utf-8").replace(usual, chosen)
    document: dict[str, Any] = json.loads(text)
    return document


@click.command("demo-upstream")
@click.option("--port", required=True, type=int)
@click.option("--ours", required=True)
def run(port: int, ours: str) -> None:
    """Make what it needs, then serve until told to end."""
    from idp.cli.demo_data import prepare  # noqa: PLC0415 (as in demo)
    from idp.sandbox.demo_people import DEMO_MEMBERS  # noqa: PLC0415

    prepare([client_document(ours)], DEMO_MEMBERS)
    # A new program: what serves forks, and nothing that was opened here may be in its children.
    command = [sys.executable, "-m", "idp.cli", "serve", "--host", HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, command)  # noqa: S606 (this interpreter, our own module)


if __name__ == "__main__":
    run()
