"""`idp staff`: who runs the provider. The first owner is invited here, all others by an owner in the console."""

from uuid import UUID

import click

from idp.citizens.contact_forms import ContactRefused
from idp.cli.shared import Refused, services
from idp.core import clock
from idp.core.database import db
from idp.core.i18n import LANGUAGES
from idp.staff import invitations, members
from idp.staff.rights import NATIONAL, Role


@click.group("staff")
def group() -> None:
    """Invite national staff, list it, end somebody's work."""


@group.command("invite")
@click.argument("mail")
@click.option("--role", required=True, type=click.Choice([role.value for role in NATIONAL]), help="What they will do.")
@click.option("--language", type=click.Choice(list(LANGUAGES)), help="Of the mail. Without: that of the pages.")
def invite_command(mail: str, role: str, language: str | None) -> None:
    """Send MAIL an invitation: one use, 72 hours, for somebody with an account and a passkey."""
    with services() as provider:
        settings = provider.settings
        if settings.mail_server is None and settings.mail_folder is None:
            raise Refused("no mail leaves this house: set IDP_MAIL_SERVER")
        try:
            invitations.invite(
                mail, Role(role), language=language or settings.default_language, keyring=provider.keyring
            )
        except ContactRefused:
            raise Refused("MAIL: is no mail address") from None
        db.session.commit()
    click.echo("invitation on its way; it can be accepted for 72 hours")


@group.command("list")
def list_command() -> None:
    """Show every member: the key under which events name them, role, since. No person is named."""
    with services():
        for member in members.listed():
            click.echo(f"{member.id.hex}\t{member.role}\tsince {clock.on_the_wall(member.joined_at)}")


@group.command("end")
@click.argument("member", type=click.UUID)
def end_command(member: UUID) -> None:
    """End the work of MEMBER, the key that `idp staff list` shows; from the next click on."""
    with services():
        try:
            role = members.end(member)
        except members.UnknownMember:
            raise Refused("MEMBER: there is no such member; `idp staff list` shows all") from None
        except members.LastOwner:
            raise Refused("MEMBER: is the last owner who can sign in; another one must join first") from None
        db.session.commit()
    click.echo(f"ended\t{role}")
