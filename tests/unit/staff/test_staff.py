"""Staff: an invitation works once and in time, an end is an end, and somebody is always left who can invite."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.contact_forms import ContactRefused
from idp.citizens.contacts import CitizenContacts
from idp.citizens.models import CitizenState
from idp.core import clock
from idp.core.database import db
from idp.core.ids import digest
from idp.notify.channels import Channel, Letter
from idp.notify.deliveries import Notices
from idp.notify.models import OwedNotice
from idp.staff import invitations, members, rights
from idp.staff.invitations import StaffInvitation, UnknownInvitation
from idp.staff.members import AlreadyStaff, LastOwner, StaffMember
from idp.staff.rights import NATIONAL, Act, Role
from tests import canary
from tests.provider import Provider


class Kept:
    """A channel that keeps what it is given."""

    def __init__(self) -> None:
        self.letters: dict[str, Letter] = {}

    def send(self, letter: Letter, *, to: str, message_id: UUID) -> None:
        assert message_id
        self.letters[to] = letter


def sent(provider: Provider, to: str) -> Letter:
    """Send what is owed, and return the letter that went to an address."""
    kept = Kept()
    contacts = CitizenContacts(
        hot_path=provider.services.hot_path, keyring=provider.services.keyring, default_language="vi"
    )
    Notices(
        settings=provider.settings, keyring=provider.services.keyring, hot_path=provider.services.hot_path,
        contacts=contacts, senders={Channel.MAIL: kept},
    ).run_due(threading.Event())  # fmt: skip
    return kept.letters[to]


def invite(provider: Provider, mail: str, role: Role = Role.SUPPORT) -> str:
    """Invite, and return the secret in the mail's link."""
    with provider.app.app_context():
        invitations.invite(mail, role, language="en", keyring=provider.services.keyring)
        db.session.commit()
    address = f"{provider.settings.issuer}/console/invitation/"
    secret = sent(provider, mail).text.partition(address)[2].split()[0]
    canary.plant(secret)
    return secret


def add(provider: Provider, role: Role) -> members.OnDuty:
    """Make a new citizen a member."""
    person = provider.citizen(totp=False)
    with provider.app.app_context():
        members.join(person.id, role, by=None)
        db.session.commit()
        found = members.on_duty(person.id)
    assert found is not None
    return found


def end_all(provider: Provider) -> None:
    provider.run(sa.update(StaffMember).where(StaffMember.ended_at.is_(None)).values(ended_at=clock.now()))


def at_once(provider: Provider, *acts: Callable[[], object]) -> list[object]:
    """Do acts at the same moment, each in a transaction of its own; return what each returned or raised."""
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        with provider.app.app_context():
            db.session.execute(sa.select(1))
            db.session.rollback()
            gate.wait(timeout=30)
            try:
                result = act()
                db.session.commit()
            except (LastOwner, UnknownInvitation) as refused:
                db.session.rollback()
                return type(refused)
            return result

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_every_role_is_in_the_table_and_an_agencys_staff_has_no_national_right() -> None:
    assert set(rights.RIGHTS) == set(Role)
    assert all(rights.may(role, Act.HOME) for role in NATIONAL)
    assert all(not rights.RIGHTS[role] for role in set(Role) - set(NATIONAL))
    assert {role for role in Role if rights.may(role, Act.STAFF_CHANGE)} == {Role.OWNER}


def test_invitation_works_once_and_leaves_neither_secret_nor_address(provider: Provider) -> None:
    secret = invite(provider, "mai@vi-du.example", Role.AUDITOR)
    person, late = provider.citizen(totp=False), provider.citizen(totp=False)
    [row] = provider.scalars(sa.select(StaffInvitation).where(StaffInvitation.digest == digest(secret)))
    assert "mai" not in row.mail
    assert row.expires_at - row.created_at == timedelta(hours=72)
    owed = sa.select(OwedNotice).where(OwedNotice.kind == "staff-invited")
    assert {(each.facts, each.recipient) for each in provider.scalars(owed)} == {("", None)}
    with provider.app.app_context():
        assert invitations.find(secret) is Role.AUDITOR
        assert [each.mail for each in invitations.waiting(provider.services.keyring) if each.id == row.id] == [
            "mai@vi-du.example"
        ]
        invitations.accept(secret, person.id)
        db.session.commit()
        assert invitations.find(secret) is None
        with pytest.raises(UnknownInvitation):
            invitations.accept(secret, late.id)
        db.session.rollback()
        joined = members.on_duty(person.id)
        assert joined is not None
        assert (joined.role, joined.may(Act.PROVIDERS_CHANGE)) == (Role.AUDITOR, False)
        assert members.on_duty(late.id) is None
    seen = sa.select(AuditEvent.name).where(AuditEvent.name.startswith("staff:"), AuditEvent.citizen_id == person.id)
    assert provider.scalars(seen) == ["staff:member:joined"]


def test_invitation_is_over_after_its_time_and_when_withdrawn(provider: Provider) -> None:
    late, withdrawn = invite(provider, "tre@vi-du.example"), invite(provider, "rut@vi-du.example")
    person = provider.citizen(totp=False)
    mine = sa.update(StaffInvitation).where(StaffInvitation.digest == digest(late))
    provider.run(mine.values(expires_at=clock.now() - timedelta(seconds=1)))
    [key] = provider.scalars(sa.select(StaffInvitation.id).where(StaffInvitation.digest == digest(withdrawn)))
    with provider.app.app_context():
        invitations.withdraw(key)
        db.session.commit()
        for secret in (late, withdrawn):
            assert invitations.find(secret) is None
            with pytest.raises(UnknownInvitation):
                invitations.accept(secret, person.id)
            db.session.rollback()
        with pytest.raises(UnknownInvitation):
            invitations.withdraw(key)
        db.session.rollback()


def test_an_invitation_is_over_when_whoever_sent_it_works_here_no_longer(provider: Provider) -> None:
    """Or somebody who was ended would come back by their own."""
    member, person = add(provider, Role.SUPPORT), provider.citizen(totp=False)
    secret = invite(provider, "ba@vi-du.example", Role.OWNER)
    provider.run(
        sa.update(StaffInvitation).where(StaffInvitation.digest == digest(secret)).values(invited_by=member.id)
    )
    with provider.app.app_context():
        assert invitations.find(secret) is Role.OWNER
        members.end(member.id)
        db.session.commit()
        assert invitations.find(secret) is None
        with pytest.raises(UnknownInvitation):
            invitations.accept(secret, person.id)
        db.session.rollback()


def test_a_member_keeps_the_invitation_to_another_role_and_no_agencys_role_is_offered(provider: Provider) -> None:
    member, secret = add(provider, Role.SUPPORT), invite(provider, "hai@vi-du.example", Role.OWNER)
    with provider.app.app_context():
        with pytest.raises(AlreadyStaff):
            invitations.accept(secret, member.citizen_id)
        db.session.rollback()
        assert invitations.find(secret) is Role.OWNER
        keyring = provider.services.keyring
        with pytest.raises(ValueError, match="developer"):
            invitations.invite("a@vi-du.example", Role.DEVELOPER, language="vi", keyring=keyring)
        with pytest.raises(ContactRefused):
            invitations.invite("no address", Role.OWNER, language="vi", keyring=keyring)


def test_last_owner_who_can_sign_in_stays(provider: Provider) -> None:
    end_all(provider)
    first, second, other = add(provider, Role.OWNER), add(provider, Role.OWNER), add(provider, Role.SUPPORT)
    blocked = provider.citizen(totp=False)
    blocked.set(state=CitizenState.DISABLED)
    with provider.app.app_context():
        members.join(blocked.id, Role.OWNER, by=None)
        members.end(first.id, by=second.id)
        db.session.commit()
        assert members.on_duty(first.citizen_id) is None
        with pytest.raises(LastOwner):
            members.end(second.id)
        db.session.rollback()
        assert members.on_duty(second.citizen_id) is not None
        assert members.end(other.id) is Role.SUPPORT
        db.session.commit()
        with pytest.raises(members.UnknownMember):
            members.end(other.id)
        db.session.rollback()


def test_two_owners_who_end_each_other_leave_one_and_one_of_two_gets_an_invitation(provider: Provider) -> None:
    end_all(provider)
    one, two = add(provider, Role.OWNER), add(provider, Role.OWNER)
    done = at_once(provider, lambda: members.end(two.id, by=one.id), lambda: members.end(one.id, by=two.id))
    assert sorted(map(str, done)) == sorted(map(str, [Role.OWNER, LastOwner]))
    secret = invite(provider, "mot@vi-du.example")
    people = [provider.citizen(totp=False), provider.citizen(totp=False)]
    done = at_once(provider, *(lambda each=each: invitations.accept(secret, each.id) for each in people))
    assert done.count(UnknownInvitation) == 1
