"""What every command needs: settings and application in force, and refusals as single lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from idp.core.settings import Settings
    from idp.sso.services import Services

USAGE = 2


class Refused(click.ClickException):
    """A refusal for people: one line for each problem on standard error, exit status 2."""

    exit_code = USAGE

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))

    def show(self, file: Any = None) -> None:
        """Print the problems, one a line, without a prefix so that `FILE: member: ...` can be clicked."""
        click.echo(self.message, err=True, file=file)


def settings() -> Settings:
    """Return the settings in force. Raises SettingsRefused, which `main` prints."""
    from idp.core.settings import load  # noqa: PLC0415 (pydantic takes its time, and --help need not wait)

    return load()


@contextmanager
def services() -> Iterator[Services]:
    """Yield the services of the application, inside its context."""
    with application() as app:
        yield app.extensions["lienket"]


@contextmanager
def application() -> Iterator[Any]:
    """Yield the WSGI application, inside its context: the ORM's session works."""
    from idp.app import create_app  # noqa: PLC0415 (costs most of a second, which --help need not pay)
    from idp.core.database import db  # noqa: PLC0415

    app = create_app()
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()
