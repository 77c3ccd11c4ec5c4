"""`idp secrets`: make the keyring, and change its keys one after the other."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import click

from idp.cli.shared import Refused, services, settings
from idp.core import key_files, keyring
from idp.core.key_files import RotationRefused
from idp.core.keyring import Keyring, Purpose

_CLOSED: Final = "closed_number.number_index"
_PURPOSE: Final = click.Choice([purpose.value for purpose in Purpose])
# What cannot be counted, because nothing stored says which key made it: what a key is still good for when it no longer
# writes, and for how long.
_WAIT: Final = {
    Purpose.FORM: "forms open in browsers (an hour) and the memory of known devices (without it each is new)",
    Purpose.TOKEN: "refresh tokens not used since it stopped writing: as long as an unused offline grant lives",
    Purpose.SUBJECT: "nothing: subjects are stored; open sessions get another `sid` when it stops writing",
    Purpose.THROTTLE: "nothing: counters begin anew when it stops writing",
    Purpose.LOG: "nothing: rate limits begin anew when it stops writing",
}


@click.group("secrets")
def group() -> None:
    """Make the keyring, and change its keys."""


@group.command("init")
def init_command() -> None:
    """Make what is missing in IDP_SECRETS_DIR; files that are there are never touched.

    Keep a copy of the directory apart from that of the database: without it no sealed value can be read again.
    """
    given = settings()
    made = keyring.create(given.secrets_dir)
    # What was there before is judged now rather than at the next start.
    keyring.load(given.secrets_dir, is_production=not given.is_sandbox)
    names = ", ".join(made)
    click.echo(f"{given.secrets_dir}: " + (f"made {names}" if made else "complete, nothing made"))


@group.command("rotate")
@click.argument("purpose", type=_PURPOSE)
@click.option("--write", "key_id", metavar="KEY-ID", help="Second step: this key writes from now on.")
def rotate_command(purpose: str, key_id: str | None) -> None:
    """Make the next key of PURPOSE, which can be read from now on; with --write, let it write.

    Two steps, because a worker reads the keyring when it starts: every one must know a key before any writes with it.
    """
    given, chosen = settings(), Purpose(purpose)
    try:
        if key_id is None:
            made = key_files.prepare(given.secrets_dir, chosen)
            click.echo(f"{purpose}: {made} is made, and does not write yet")
            click.echo("next: copy the directory to every node and restart all workers there, then")
            click.echo(f"      idp secrets rotate {purpose} --write {made}")
            return
        key_files.promote(given.secrets_dir, chosen, key_id)
    except RotationRefused as refused:
        raise Refused(str(refused)) from None
    click.echo(f"{purpose}: {key_id} writes")
    click.echo("next: copy the directory to every node and restart all workers there, then")
    if chosen in (Purpose.DATA, Purpose.SIGNING, Purpose.NUMBER_INDEX):
        click.echo("      idp secrets reseal")
    click.echo("      idp secrets status     (says when the old key can be retired)")


@group.command("status")
def status_command() -> None:
    """List every key, what it does, and how many stored values still need it."""
    from idp.ops import sealed  # noqa: PLC0415 (brings the ORM, and --help need not wait)

    with services() as provider:
        counted = sealed.needed()
        for purpose in Purpose:
            keys = keyring.read(provider.settings.secrets_dir / f"{purpose}.keys", is_production=False)
            waiting = key_files.waiting(keys)
            for key in keys:
                role = "writes" if key is keys[0] else "waits" if key.id == waiting else "reads"
                if purpose not in counted:
                    click.echo(f"{purpose}\t{key.id}\t{role}\tnot counted\t{_WAIT[purpose]}")
                    continue
                places = counted[purpose].get(key.id, {})
                listed = ", ".join(f"{place} {count}" for place, count in sorted(places.items())) or "-"
                click.echo(f"{purpose}\t{key.id}\t{role}\t{sum(places.values())} values\t{listed}")
            known = {key.id for key in keys}
            for key_id, places in counted.get(purpose, {}).items():
                if key_id not in known:
                    click.echo(
                        f"{purpose}\t{key_id}\tMISSING\t{sum(places.values())} values\tcannot be read without it"
                    )


@group.command("reseal")
@click.option("--batch", default=200, show_default=True, type=click.IntRange(1, 10_000), help="Rows in a transaction.")
def reseal_command(batch: int) -> None:
    """Make every stored value anew that is not under today's keys, while the provider runs.

    Can be stopped at any moment and run again. Passwords are hashed anew at their owner's next sign-in, and what lives
    for a short time goes by itself; `idp secrets status` counts both.
    """
    from idp.ops.reseal import reseal  # noqa: PLC0415 (as above)

    with services() as provider:
        done: Counter[str] = Counter()
        for bite in reseal(provider.keyring, bite=batch):
            done[bite.place] += bite.count
        for place, count in sorted(done.items()):
            click.echo(f"{place}\t{count} made anew")
        if not done:
            click.echo("nothing to make anew")


@group.command("retire")
@click.argument("purpose", type=_PURPOSE)
@click.argument("key_id", metavar="KEY-ID")
@click.option("--waited", is_flag=True, help="For keys that cannot be counted: what still needed it is over.")
@click.option("--forget-closed", is_flag=True, help="Also forget the numbers of closed accounts that it indexed.")
def retire_command(purpose: str, key_id: str, waited: bool, forget_closed: bool) -> None:  # noqa: FBT001 (click's way)
    """Delete a key that no longer writes. Refused while a stored value needs it.

    Every worker must have been restarted since the key stopped writing, or it goes on writing with it.
    """
    chosen = Purpose(purpose)
    with services() as provider:
        if chosen in _WAIT and not waited:
            raise Refused(f"{purpose} {key_id} is still good for {_WAIT[chosen]}", "once that is over: --waited")
        if chosen not in _WAIT:
            _refuse_while_needed(chosen, key_id, provider.keyring, forget_closed=forget_closed)
        try:
            key_files.retire(provider.settings.secrets_dir, chosen, key_id)
        except RotationRefused as refused:
            raise Refused(str(refused)) from None
        if forget_closed and chosen is Purpose.NUMBER_INDEX:
            click.echo(f"{_forget_closed(key_id)} numbers of closed accounts are forgotten")
    click.echo(f"{purpose}: {key_id} is gone")
    click.echo("next: copy the directory to every node; a backup that needs the key cannot be read any more")


def _forget_closed(key_id: str) -> int:
    from idp.citizens import erasure  # noqa: PLC0415 (as above)
    from idp.core.database import db  # noqa: PLC0415

    forgotten = erasure.forget_numbers(key_id)
    db.session.commit()
    return forgotten


def _refuse_while_needed(purpose: Purpose, key_id: str, known: Keyring, *, forget_closed: bool) -> None:
    from idp.ops import sealed  # noqa: PLC0415 (as above)

    if key_id == known.key(purpose).id:
        return
    places: Mapping[str, int] = sealed.needed()[purpose].get(key_id, {})
    if forget_closed:
        places = {place: count for place, count in places.items() if place != _CLOSED}
    if not places:
        return
    advice = {
        Purpose.PEPPER: "passwords are hashed anew when their owners sign in",
    }.get(purpose, "`idp secrets reseal` makes them anew")
    if all(sealed.expires(place) for place in places):
        advice = "they go by themselves; ask again later"
    if set(places) == {_CLOSED}:
        # The numbers themselves are erased, so that no other key can index them.
        advice = "they go when the history of closed accounts does; --forget-closed gives them up now"
    listed = ", ".join(f"{place} {count}" for place, count in sorted(places.items()))
    raise Refused(f"{purpose} {key_id} is needed by {sum(places.values())} values ({listed}); {advice}")
