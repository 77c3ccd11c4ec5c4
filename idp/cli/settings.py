"""`idp settings`: the settings in force, checked, or their reference."""

import re

import click

from idp.cli.shared import settings as load
from idp.core.settings import PREFIX, Settings, reference

# The user information of an address, wherever it stands: a database password belongs on no screen.
_USER_INFORMATION = re.compile(r"(?<=://)\S*@")
_QUERY_PASSWORD = re.compile(r"(?i)(password=)[^&\s]*")


@click.command("settings")
@click.option("--check", is_flag=True, help="Print nothing; the exit status says whether they can be used.")
@click.option("--markdown", is_flag=True, help="Print the reference of all settings (docs/settings.md).")
def command(check: bool, markdown: bool) -> None:  # noqa: FBT001 (click's way)
    """Show the settings in force, without secrets.

    Names and meanings: --markdown. Unknown or unsafe settings are named with their source, exit status 2.
    """
    if markdown:
        click.echo(reference(), nl=False)
        return
    given = load()
    if check:
        return
    for name in Settings.model_fields:
        value = getattr(given, name)
        click.echo(f"{PREFIX}{name.upper()} = {'' if value is None else shown(str(value))}")


def shown(value: str) -> str:
    """Return a setting's value with user name and password of an address left out."""
    return _QUERY_PASSWORD.sub(r"\1***", _USER_INFORMATION.sub("***@", value))
