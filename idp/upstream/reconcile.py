"""From whom a provider named to the one citizen we know: by the verified number, whichever door was used.

A subject is remembered for its provider, so that a provider which one day gives the same subject another number is
caught. E-mail addresses and telephones never join anything: couples, helpers and parents share them.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import admission, verification
from idp.citizens.assurance import RegistryStatus
from idp.citizens.claims import Profile, profile_of
from idp.citizens.lookup import find_number
from idp.citizens.models import Citizen, CitizenState, insert
from idp.citizens.names import NameMatch, same_name
from idp.citizens.registry import PopulationRegistry
from idp.citizens.registry import Reason as AskedFor
from idp.citizens.verification import Said
from idp.core.database import HotPath, as_uuid, database_now, db
from idp.core.ids import digest
from idp.core.keyring import Keyring, Purpose
from idp.core.levels import Level
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import Notice
from idp.upstream import say
from idp.upstream.login import Found, Journey
from idp.upstream.models import READ_LATEST, UpstreamIdentity, UpstreamLogin, UpstreamSession, id_token_place
from idp.upstream.record import Provider
from idp.upstream.refusal import DONE, Reason, UpstreamRefused

_log = logging.getLogger("idp.upstream")

_REFUSED = {
    RegistryStatus.DECEASED: Reason.DECEASED,
    RegistryStatus.LOCKED: Reason.LOCKED,
    # Under another number: the provider has an old one, and a counter has to look.
    RegistryStatus.REPLACED: Reason.MISMATCH,
    RegistryStatus.MISMATCH: Reason.MISMATCH,
    RegistryStatus.NOT_FOUND: Reason.MISMATCH,
}
# The hint may be shown as long as a session of ours can live.
_KEPT = timedelta(days=1)


def subject_index(provider: Provider, subject: str, *, keyring: Keyring, key_id: str | None = None) -> str:
    """Return the keyed index of a subject at a provider: providers call citizens by their numbers, too."""
    message = f"upstream {provider.id} {subject}".encode()
    return keyring.hmac(Purpose.NUMBER_INDEX, message, key_id=key_id).hex()


def every_subject_index(provider: Provider, subject: str, *, keyring: Keyring) -> tuple[str, ...]:
    """Return the indexes of a subject under all keys, so that a rotated key forgets nobody."""
    key_ids = keyring.key_ids(Purpose.NUMBER_INDEX)
    return tuple(subject_index(provider, subject, keyring=keyring, key_id=key_id) for key_id in key_ids)


def reconcile(
    found: Found, *, provider: Provider, settings: Settings, keyring: Keyring, registry: PopulationRegistry
) -> UUID:
    """Return the citizen whom `provider` named, made at the first visit; the caller commits.

    The caller holds no transaction: the register may have to be asked. Raises UpstreamRefused, with what was begun to
    be rolled back, and IntegrityError when the same person came by another tab at the same moment: try again.
    An account that exists is told of a provider that enters it for the first time.
    Events: citizen enrolled or updated, identity linked.
    """
    known = _linked(provider, found.asserted.subject, keyring)
    holder = _holder(found, keyring)
    db.session.rollback()
    if known is not None and holder != known:
        # Their number may have been replaced since; the register knows, and our account learns of it here.
        verification.recheck(known, settings=settings, keyring=keyring, registry=registry)
        holder = _holder(found, keyring)
        db.session.rollback()
        if holder != known:
            _alarm(provider, known)
            raise UpstreamRefused(Reason.NUMBER_CHANGED)
    profile = found.person.profile()
    said = None
    if holder is None or not _agrees(holder, profile, keyring):
        said = verification.ask(profile, reason=AskedFor.SIGN_IN, registry=registry)
        _refuse(said)
    now = database_now()
    citizen_id = _settle(holder, profile, said, found, provider, keyring=keyring, now=now)
    # Whoever is known here by this subject has used the provider: the link says so.
    if known is None and holder is not None and not _has_used(citizen_id, provider):
        notices.owe(citizen_id, Notice.PROVIDER_USED, keyring=keyring, provider=dict(provider.names))
    _link(provider, found.asserted.subject, citizen_id, is_new=known is None, keyring=keyring, now=now)
    return citizen_id


def note_session(
    found: Found, session_id: UUID, citizen_id: UUID, *, journey: Journey, provider: Provider, keyring: Keyring
) -> None:
    """Note that a journey ended well and which session of ours it opened; the caller commits. Events: accepted."""
    values = session_values(found, session_id, provider=provider, keyring=keyring, now=database_now())
    db.session.execute(sa.update(UpstreamLogin).where(UpstreamLogin.id == journey.id).values(outcome=DONE))
    db.session.merge(UpstreamSession(session_id=session_id, **values))
    record(
        db.session,
        Event.UPSTREAM_ACCEPTED,
        citizen_id=citizen_id,
        session_id=session_id,
        detail=accepted_detail(found, provider),
    )


def session_values(
    found: Found, session_id: UUID, *, provider: Provider, keyring: Keyring, now: datetime
) -> dict[str, object]:
    """Return what is kept of a session that `provider` opened, by the names of `UpstreamSession`."""
    return {
        "provider_id": provider.id,
        "subject_index": subject_index(provider, found.asserted.subject, keyring=keyring),
        "sid_digest": None if found.asserted.sid is None else digest(found.asserted.sid),
        "id_token": keyring.seal(found.id_token, id_token_place(session_id)) if provider.ends_sessions else None,
        "expires_at": now + _KEPT,
    }


def accepted_detail(found: Found, provider: Provider) -> dict[str, str | int | bool]:
    """Return the detail of the event that tells of an accepted sign-in."""
    return {"provider": provider.slug, "level": int(found.asserted.level)}


def is_as_known(profile: Profile, known: Profile, status: RegistryStatus) -> bool:
    """Tell whether name and birth date are those of an account that the register has confirmed, its last word yes.

    When its word is too old the dispatcher asks again, as after any other sign-in.
    """
    is_same_name = same_name(profile.full_name, known.full_name) is not NameMatch.DIFFERENT
    return is_same_name and profile.birth.agrees_with(known.birth) and status is RegistryStatus.ACTIVE


def note_refusal(reason: Reason, *, login_id: UUID | None, slug: str, client_id: UUID | None) -> None:
    """Note why a sign-in by a provider was refused, for the page, its health and the trail; commit. Events: refused."""
    if login_id is not None:
        db.session.execute(sa.update(UpstreamLogin).where(UpstreamLogin.id == login_id).values(outcome=reason.value))
    record(
        db.session,
        Event.UPSTREAM_REFUSED,
        client_id=client_id,
        outcome="refused",
        detail={"provider": slug, "reason": reason.value},
    )
    db.session.commit()


def latest(interaction_id: UUID, *, hot_path: HotPath) -> tuple[UUID, str | None] | None:
    """Return provider and outcome of the last journey on the pages of an interaction, None before the first."""
    row = hot_path.one(READ_LATEST, {"interaction_id": interaction_id})
    return None if row is None else (as_uuid(row["provider_id"]), row["outcome"])


def _linked(provider: Provider, subject: str, keyring: Keyring) -> UUID | None:
    return db.session.scalar(
        sa.select(UpstreamIdentity.citizen_id).where(
            UpstreamIdentity.provider_id == provider.id,
            UpstreamIdentity.subject_index.in_(every_subject_index(provider, subject, keyring=keyring)),
        )
    )


def _has_used(citizen_id: UUID, provider: Provider) -> bool:
    used = sa.select(UpstreamIdentity.created_at).where(
        UpstreamIdentity.citizen_id == citizen_id, UpstreamIdentity.provider_id == provider.id
    )
    return db.session.scalar(used.limit(1)) is not None


def _holder(found: Found, keyring: Keyring) -> UUID | None:
    record_ = find_number(found.person.scheme, found.person.number, keyring=keyring)
    return None if record_ is None else record_.citizen_id


def _agrees(citizen_id: UUID, profile: Profile, keyring: Keyring) -> bool:
    """Tell whether the account is as `is_as_known` says. Raises UpstreamRefused where it is disabled or closed."""
    citizen = db.session.get_one(Citizen, citizen_id)
    if citizen.state in (CitizenState.DISABLED, CitizenState.CLOSED):
        db.session.rollback()
        raise UpstreamRefused(Reason.DISABLED)
    known = profile_of(citizen, keyring)
    # Read now: after the rollback it would begin a transaction that stays open while the register is asked.
    status = citizen.registry_status
    db.session.rollback()
    return is_as_known(profile, known, status)


def _refuse(said: Said | None) -> None:
    if said is None:
        raise UpstreamRefused(Reason.REGISTER_SILENT)
    if said.is_ambiguous:
        raise UpstreamRefused(Reason.AMBIGUOUS)
    if said.status in _REFUSED:
        raise UpstreamRefused(_REFUSED[said.status])


def _settle(
    holder: UUID | None,
    profile: Profile,
    said: Said | None,
    found: Found,
    provider: Provider,
    *,
    keyring: Keyring,
    now: datetime,
) -> UUID:
    if holder is None:
        assert said is not None
        # A level above the first is one that somebody saw the person for (vietnam.md, 2).
        is_bound = found.asserted.level >= Level.LOA2
        return admission.admit(profile, said, is_bound=is_bound, keyring=keyring, now=now).id
    citizen = db.session.get_one(Citizen, holder, with_for_update=True, populate_existing=True)
    if citizen.state in (CitizenState.DISABLED, CitizenState.CLOSED):
        raise UpstreamRefused(Reason.DISABLED)
    if not say.allows(holder, provider.id):
        raise UpstreamRefused(Reason.BLOCKED)
    if said is not None:
        before = profile_of(citizen, keyring)
        # The number on the account stays: the provider may know a former one.
        kept = {name: value for name, value in profile.claims.items() if name in ("name", "birthdate", "gender")}
        admission.correct(citizen, before, Profile(kept, profile.birth), said, keyring=keyring, now=now)
    return citizen.id


def _link(provider: Provider, subject: str, citizen_id: UUID, *, is_new: bool, keyring: Keyring, now: datetime) -> None:
    if not is_new:
        db.session.execute(
            sa.update(UpstreamIdentity)
            .where(
                UpstreamIdentity.provider_id == provider.id,
                UpstreamIdentity.subject_index.in_(every_subject_index(provider, subject, keyring=keyring)),
            )
            .values(last_used_at=now)
        )
        return
    key = keyring.key(Purpose.NUMBER_INDEX)
    db.session.execute(
        insert(UpstreamIdentity).values(
            provider_id=provider.id,
            subject_index=subject_index(provider, subject, keyring=keyring, key_id=key.id),
            index_key_id=key.id,
            citizen_id=citizen_id,
            created_at=now,
            last_used_at=now,
        )
    )
    record(db.session, Event.UPSTREAM_LINKED, citizen_id=citizen_id, detail={"provider": provider.slug})


def _alarm(provider: Provider, citizen_id: UUID) -> None:
    _log.critical("a provider gave a known subject another number", extra={"provider": provider.slug})
    record(db.session, Event.UPSTREAM_CHANGED, citizen_id=citizen_id, detail={"provider": provider.slug})
    db.session.commit()
