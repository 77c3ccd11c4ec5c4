"""The `idp` command: one module for each noun.

Owns how a person at a terminal, or a script, reaches the acts of the rooms, and how refusals are told there: one line
each on standard error, exit status 2. Leaves every decision to the acts.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from idp.cli.shared import Refused

# Read without importing anything, so that --help and completion answer at once. Each noun is a module here that holds
# one click command of that name.
_NOUNS = {
    "audit": "Seal the audit trail, verify it, prove and export from it.",
    "citizens": "Enrol citizens and keep their accounts.",
    "clients": "Register the agencies' clients.",
    "db": "Bring the database to the schema of this version.",
    "deliveries": "Tell portals and citizens what happened, and show how that goes.",
    "demo": "Start three providers and two portals with invented citizens.",
    "housekeeping": "Delete what has expired and move signing keys on.",
    "keys": "Show and rotate the signing keys.",
    "officers": "Say who works at which counter.",
    "passwords": "Keep the list of passwords that nobody may choose.",
    "requests": "Look at the requests of clients, and see what to mend.",
    "rights": "Read what citizens ask for by their rights, and answer.",
    "sandbox": "Start what a sandbox needs beside the provider.",
    "secrets": "Make the keyring, and change its keys.",
    "settings": "Show the settings in force, or their reference.",
    "staff": "Invite national staff, list it, end somebody's work.",
    "upstream": "Keep the identity providers that citizens may come by.",
}


class _Nouns(click.Group):
    """The commands of `_NOUNS`, imported when called, beside those defined here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_NOUNS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _NOUNS:
            return super().get_command(ctx, cmd_name)
        try:
            module = importlib.import_module(f"idp.cli.{cmd_name}")
        except ModuleNotFoundError as missing:
            raise Refused(f"idp {cmd_name}: the module {missing.name} is not installed") from missing
        for value in vars(module).values():
            if isinstance(value, click.Command) and value.name == cmd_name:
                return value
        raise Refused(f"idp {cmd_name}: idp.cli.{cmd_name} holds no command of this name")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = _NOUNS | {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows.items()))

    def invoke(self, ctx: click.Context) -> Any:
        from idp.citizens.registry import RegistryRefused  # noqa: PLC0415 (only when something runs)
        from idp.core.keyring import KeyringRefused  # noqa: PLC0415
        from idp.core.settings import SettingsRefused  # noqa: PLC0415

        try:
            return super().invoke(ctx)
        except SettingsRefused as refused:
            raise Refused(*refused.problems) from refused
        except (KeyringRefused, RegistryRefused) as refused:
            raise Refused(str(refused)) from refused


@click.group(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lienket", prog_name="idp")
def main() -> None:
    """LienKet: one login for every agency. Settings come from IDP_* variables; see `idp settings`."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Worker processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Run the provider until SIGTERM."""
    from idp.cli.serve import serve as run  # noqa: PLC0415 (granian is needed for nothing else)

    raise SystemExit(run(host=host, port=port, workers=workers))
