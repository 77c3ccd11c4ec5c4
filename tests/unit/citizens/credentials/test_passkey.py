"""Passkeys: every part of a ceremony is checked, each challenge answered once (WebAuthn Level 3, 7.1 and 7.2)."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.credentials import means_of, passkey, passkeys
from idp.citizens.credentials.passkey import Accepted, PasskeyRefused, Purpose
from idp.citizens.credentials.removal import LastWayIn
from idp.citizens.models import Passkey, PasskeyChallenge
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.levels import Method
from idp.core.settings import Settings
from tests.authenticator import EDDSA, ELIGIBLE, ES256, ORIGIN, PRESENT, RS256, VERIFIED, Authenticator, text
from tests.unit.citizens.place import NUMBER, OTHER_NUMBER, PASSWORD, Place, race

SETTINGS = Settings(issuer=ORIGIN)
LONG_AGO = timedelta(minutes=6)


@pytest.fixture
def citizen_id(place: Place) -> UUID:
    return place.enrol(number=NUMBER, password=PASSWORD).citizen_id


@pytest.fixture
def other_id(place: Place) -> UUID:
    return place.enrol(number=OTHER_NUMBER, password=PASSWORD).citizen_id


def enrolment_options(citizen_id: UUID, session: UUID) -> str:
    options = passkey.begin_enrolment(citizen_id, account="Nguyễn Thị Hoà", bound_to=session, settings=SETTINGS)
    assert options is not None
    return options


def finish_enrolment(place: Place, citizen_id: UUID, session: UUID, answer: str, *, name: str = "phone") -> UUID:
    return passkey.finish_enrolment(
        citizen_id, answer, name=name, bound_to=session, settings=SETTINGS, keyring=place.keyring
    )


def enrol(place: Place, citizen_id: UUID, key: Authenticator, **wrong: Any) -> UUID:
    session = new_id()
    return finish_enrolment(place, citizen_id, session, key.create(enrolment_options(citizen_id, session), **wrong))


def sign_in(key: Authenticator, **wrong: Any) -> Accepted:
    place = new_id()
    options = passkey.begin_sign_in(bound_to=place, settings=SETTINGS)
    return passkey.finish(
        key.get(options, **wrong), Purpose.SIGN_IN, citizen_id=None, bound_to=place, settings=SETTINGS
    )


def refusal(act: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(PasskeyRefused) as refused:
        act(*arguments, **named)
    [event] = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.name == "citizens:passkey:refused").order_by(AuditEvent.id.desc())
    ).all()[:1]
    assert event.outcome == str(refused.value)
    return event.outcome


# --- the right ones -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
@pytest.mark.parametrize("is_synced", [False, True])
def test_passkey_signs_in_when_enrolled(place: Place, citizen_id: UUID, algorithm: int, is_synced: bool) -> None:
    key = Authenticator(algorithm, is_synced=is_synced)
    passkey_id = enrol(place, citizen_id, key)
    accepted = sign_in(key)
    word = Method.SOFTWARE_KEY if is_synced else Method.HARDWARE_KEY
    assert accepted == Accepted(citizen_id, passkey_id, frozenset({word, Method.USER_PRESENT}))
    assert accepted.is_device_bound is not is_synced
    assert means_of(citizen_id) == {Method.PASSWORD, word}


def test_passkey_of_an_authenticator_that_never_counts_signs_in_again(place: Place, citizen_id: UUID) -> None:
    key = Authenticator(step=0)
    enrol(place, citizen_id, key)
    assert [sign_in(key).is_device_bound for _ in range(3)] == [True] * 3


def test_options_ask_for_verification_and_name_no_number(place: Place, citizen_id: UUID) -> None:
    options = json.loads(enrolment_options(citizen_id, new_id()))
    assert options["rp"] == {"name": "LienKet", "id": "dangnhap.example"}
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["attestation"] == "none"
    assert {each["alg"] for each in options["pubKeyCredParams"]} == {ES256, EDDSA, RS256}
    assert NUMBER not in json.dumps(options)
    assert citizen_id.bytes not in text(b"").encode() + options["user"]["id"].encode()
    asked = json.loads(passkey.begin_sign_in(bound_to=new_id(), settings=SETTINGS))
    assert (asked["userVerification"], asked["allowCredentials"]) == ("required", [])


def test_second_passkey_has_the_same_owner_and_excludes_the_first(place: Place, citizen_id: UUID) -> None:
    first, second = Authenticator(), Authenticator()
    enrol(place, citizen_id, first)
    options = json.loads(enrolment_options(citizen_id, new_id()))
    assert [each["id"] for each in options["excludeCredentials"]] == [text(first.credential_id)]
    enrol(place, citizen_id, second)
    assert first.user_handle == second.user_handle
    assert sign_in(first).citizen_id == sign_in(second).citizen_id == citizen_id


def test_confirmation_offers_only_device_bound_passkeys_when_those_are_needed(place: Place, citizen_id: UUID) -> None:
    bound, synced = Authenticator(), Authenticator(is_synced=True)
    for key in (bound, synced):
        enrol(place, citizen_id, key)
    offered = [
        json.loads(passkey.begin_confirmation(citizen_id, device_bound=only, bound_to=new_id(), settings=SETTINGS))[
            "allowCredentials"
        ]
        for only in (False, True)
    ]
    assert [len(each) for each in offered] == [2, 1]
    assert offered[1][0]["id"] == text(bound.credential_id)


def test_nothing_is_offered_when_the_issuer_has_no_name() -> None:
    assert not passkey.is_offered(Settings(issuer="http://127.0.0.1:8000"))
    assert not passkey.is_offered(Settings(issuer="http://[::1]:8000"))
    assert passkey.is_offered(Settings(issuer="http://localhost:8000"))


# --- the wrong ones -----------------------------------------------------------------------------------------------

WRONG: list[dict[str, Any]] = [
    {"origin": "https://dangnhap.example.evil.example"},
    {"origin": "http://dangnhap.example"},
    {"origin": "https://dangnhap.example:8443"},
    {"origin": "https://sub.dangnhap.example"},
    {"origin": None},
    {"cross_origin": True},
    {"rp_id": "evil.example"},
    {"rp_id": "example"},
    {"flags": PRESENT},
    {"flags": VERIFIED},
    {"flags": 0},
    {"flags": PRESENT | VERIFIED | 0x10},
]


@pytest.mark.parametrize("wrong", [*WRONG, {"type": "webauthn.get"}, {"format": "tpm"}, {"attested": b""}])
def test_passkey_is_not_enrolled_when_a_part_is_wrong(place: Place, citizen_id: UUID, wrong: dict[str, Any]) -> None:
    assert refusal(enrol, place, citizen_id, Authenticator(), **wrong) in ("invalid", "malformed")
    assert passkeys.shown(citizen_id, keyring=place.keyring) == []


@pytest.mark.parametrize(
    "wrong",
    [
        *WRONG,
        {"type": "webauthn.create"},
        {"signature": b"\0" * 70},
        {"flags": PRESENT | VERIFIED | ELIGIBLE},
    ],
)
def test_passkey_is_refused_when_a_part_is_wrong(place: Place, citizen_id: UUID, wrong: dict[str, Any]) -> None:
    key = Authenticator()
    enrol(place, citizen_id, key)
    assert refusal(sign_in, key, **wrong) == "invalid"
    assert sign_in(key).citizen_id == citizen_id


@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
def test_passkey_is_refused_when_another_key_signed(place: Place, citizen_id: UUID, algorithm: int) -> None:
    key = Authenticator(algorithm)
    enrol(place, citizen_id, key)
    forged = Authenticator(algorithm, credential_id=key.credential_id, user_handle=key.user_handle)
    assert refusal(sign_in, forged) == "invalid"


def test_answer_is_refused_when_it_is_no_credential(place: Place, citizen_id: UUID) -> None:
    session = new_id()
    for answer in (
        "",
        "x",
        "[]",
        "{}",
        "null",
        '{"id":"%s"}' % ("A" * 20_000),
        Authenticator().get('{"rpId":"a","challenge":"YQ"}'),
    ):
        assert refusal(finish_enrolment, place, citizen_id, session, answer) == "malformed"
    for answer in ("", "x", "[]", "{}", "null", "9" * 20_000):
        named = {"citizen_id": None, "bound_to": session, "settings": SETTINGS}
        assert refusal(passkey.finish, answer, Purpose.SIGN_IN, **named) == "malformed"


def test_attestation_of_garbage_is_refused_without_a_defect(place: Place, citizen_id: UUID) -> None:
    for garbage in (b"", b"\xff" * 40, b"\xa3", b"\x9f" * 2_000, b"\xbf" * 2_000):
        assert refusal(enrol, place, citizen_id, Authenticator(), attestation=garbage) == "malformed"


def test_passkey_is_refused_when_unknown(place: Place, citizen_id: UUID) -> None:
    assert refusal(sign_in, Authenticator(user_handle=b"x" * 32)) == "unknown"


def test_passkey_is_refused_when_it_belongs_to_somebody_else(place: Place, citizen_id: UUID, other_id: UUID) -> None:
    """MF-06: the ceremony of one person is not finished by another."""
    theirs, mine = Authenticator(), Authenticator()
    enrol(place, other_id, theirs)
    enrol(place, citizen_id, mine)
    here = new_id()
    options = passkey.begin_confirmation(citizen_id, device_bound=False, bound_to=here, settings=SETTINGS)
    named = {"citizen_id": citizen_id, "bound_to": here, "settings": SETTINGS}
    assert refusal(passkey.finish, theirs.get(options), Purpose.CONFIRM, **named) == "foreign"
    # A name that is not the passkey's owner's.
    assert refusal(sign_in, mine, response={"userHandle": text(theirs.user_handle)}) == "foreign"
    assert refusal(sign_in, mine, response={"userHandle": None}) == "nameless"


def test_passkey_is_not_enrolled_twice(place: Place, citizen_id: UUID, other_id: UUID) -> None:
    key = Authenticator()
    enrol(place, citizen_id, key)
    assert refusal(enrol, place, citizen_id, key) == "known"
    assert refusal(enrol, place, other_id, key) == "known"
    assert passkeys.shown(other_id, keyring=place.keyring) == []


def test_passkey_is_refused_when_removed(place: Place, citizen_id: UUID) -> None:
    key = Authenticator()
    passkey_id = enrol(place, citizen_id, key)
    # Another one stays: the last second factor cannot be removed.
    enrol(place, citizen_id, Authenticator())
    assert passkeys.remove(citizen_id, passkey_id, keyring=place.keyring)
    db.session.commit()
    assert refusal(sign_in, key) == "unknown"
    assert {each.id for each in passkeys.shown(citizen_id, keyring=place.keyring)}.isdisjoint({passkey_id})


# --- challenges ---------------------------------------------------------------------------------------------------


def test_challenge_is_refused_when_used_before(place: Place, citizen_id: UUID) -> None:
    key, here = Authenticator(), new_id()
    enrol(place, citizen_id, key)
    options = passkey.begin_sign_in(bound_to=here, settings=SETTINGS)
    named = {"citizen_id": None, "bound_to": here, "settings": SETTINGS}
    assert passkey.finish(key.get(options), Purpose.SIGN_IN, **named).citizen_id == citizen_id
    assert refusal(passkey.finish, key.get(options), Purpose.SIGN_IN, **named) == "late"


def test_challenge_is_spent_when_its_answer_was_wrong(place: Place, citizen_id: UUID) -> None:
    key, here = Authenticator(), new_id()
    enrol(place, citizen_id, key)
    options = passkey.begin_sign_in(bound_to=here, settings=SETTINGS)
    named = {"citizen_id": None, "bound_to": here, "settings": SETTINGS}
    assert refusal(passkey.finish, key.get(options, flags=PRESENT), Purpose.SIGN_IN, **named) == "invalid"
    assert refusal(passkey.finish, key.get(options), Purpose.SIGN_IN, **named) == "late"


def test_challenge_is_refused_when_it_is_for_something_else(place: Place, citizen_id: UUID) -> None:
    key, here, elsewhere = Authenticator(), new_id(), new_id()
    enrol(place, citizen_id, key)
    for begun, asked, owner in (
        (here, Purpose.CONFIRM, citizen_id),
        (elsewhere, Purpose.SIGN_IN, None),
    ):
        options = passkey.begin_sign_in(bound_to=begun, settings=SETTINGS)
        named = {"citizen_id": owner, "bound_to": here, "settings": SETTINGS}
        assert refusal(passkey.finish, key.get(options), asked, **named) == "late"
    session = new_id()
    options = enrolment_options(citizen_id, session)
    assert refusal(finish_enrolment, place, citizen_id, new_id(), Authenticator().create(options)) == "late"


def test_challenge_is_refused_when_never_issued_or_replaced(place: Place, citizen_id: UUID) -> None:
    key, here = Authenticator(), new_id()
    enrol(place, citizen_id, key)
    assert refusal(sign_in, key, challenge=text(b"c" * 32)) == "late"
    older = passkey.begin_sign_in(bound_to=here, settings=SETTINGS)
    passkey.begin_sign_in(bound_to=here, settings=SETTINGS)
    named = {"citizen_id": None, "bound_to": here, "settings": SETTINGS}
    assert refusal(passkey.finish, key.get(older), Purpose.SIGN_IN, **named) == "late"


def test_challenge_is_refused_after_five_minutes(place: Place, citizen_id: UUID) -> None:
    key, here = Authenticator(), new_id()
    enrol(place, citizen_id, key)
    options = passkey.begin_sign_in(bound_to=here, settings=SETTINGS)
    kept = db.session.scalars(sa.select(PasskeyChallenge).where(PasskeyChallenge.bound_to == here)).one()
    kept.expires_at -= LONG_AGO
    db.session.commit()
    named = {"citizen_id": None, "bound_to": here, "settings": SETTINGS}
    assert refusal(passkey.finish, key.get(options), Purpose.SIGN_IN, **named) == "late"


def test_challenge_is_not_readable_from_its_row(place: Place) -> None:
    here = new_id()
    options = json.loads(passkey.begin_sign_in(bound_to=here, settings=SETTINGS))
    kept = db.session.scalars(sa.select(PasskeyChallenge).where(PasskeyChallenge.bound_to == here)).one()
    assert text(kept.digest) != options["challenge"]
    assert len(options["challenge"]) == 43


def answer(place: Place, here: str, given: str) -> str:
    try:
        passkey.finish(given, Purpose.SIGN_IN, citizen_id=None, bound_to=UUID(here), settings=SETTINGS)
    except PasskeyRefused as refused:
        return str(refused)
    return "accepted"


def test_one_process_wins_when_eight_answer_the_same_challenge(
    place: Place, citizen_id: UUID, database_url: str, secrets_directory: Path
) -> None:
    key, here = Authenticator(), new_id()
    enrol(place, citizen_id, key)
    given = key.get(passkey.begin_sign_in(bound_to=here, settings=SETTINGS))
    answers = race(answer, database_url, secrets_directory, processes=8, here=str(here), given=given)
    assert sorted(answers) == ["accepted"] + ["late"] * 7


# --- a count that falls -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 4, 5])
def test_passkey_is_no_longer_device_bound_when_its_count_fell(place: Place, citizen_id: UUID, count: int) -> None:
    key = Authenticator(count=4)
    enrol(place, citizen_id, key)
    assert sign_in(key).is_device_bound
    copied = sign_in(key, count=count)
    assert not copied.is_device_bound
    assert Method.SOFTWARE_KEY in copied.methods
    # For good: which of the two is the copy, nobody knows.
    assert not sign_in(key, count=1_000).is_device_bound
    assert means_of(citizen_id) == {Method.PASSWORD, Method.SOFTWARE_KEY}
    [shown] = passkeys.shown(citizen_id, keyring=place.keyring)
    assert shown.is_copied
    names = db.session.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == citizen_id)).all()
    assert names.count("citizens:passkey:copied") == 1


def test_count_moves_nothing_when_the_signature_is_wrong(place: Place, citizen_id: UUID) -> None:
    key = Authenticator(count=4)
    enrol(place, citizen_id, key)
    assert refusal(sign_in, key, count=0, signature=b"\0" * 64) == "invalid"
    assert refusal(sign_in, key, count=4_000_000_000, signature=b"\0" * 64) == "invalid"
    assert sign_in(key).is_device_bound


# --- names and removal --------------------------------------------------------------------------------------------


def test_name_is_sealed_and_shown_to_its_owner_alone(place: Place, citizen_id: UUID, other_id: UUID) -> None:
    passkey_id = enrol(place, citizen_id, Authenticator())
    assert not passkeys.rename(other_id, passkey_id, "của tôi", keyring=place.keyring)
    assert passkeys.rename(citizen_id, passkey_id, "Điện thoại của Lan", keyring=place.keyring)
    db.session.commit()
    assert [each.name for each in passkeys.shown(citizen_id, keyring=place.keyring)] == ["Điện thoại của Lan"]
    assert "Lan" not in db.session.scalars(sa.select(Passkey.name)).one()


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  my \t phone ", "my phone"),
        ("a\x00b\u202ec", "a b c"),
        ("", ""),
        (" \n", ""),
        ("x" * 40, "x" * 40),
        ("x" * 41, ""),
    ],
)
def test_name_is_cleaned_when_typed(typed: str, name: str) -> None:
    assert passkeys.as_name(typed) == name


def test_passkey_of_somebody_else_is_not_removed(place: Place, citizen_id: UUID, other_id: UUID) -> None:
    passkey_id = enrol(place, citizen_id, Authenticator())
    assert not passkeys.remove(other_id, passkey_id, keyring=place.keyring)
    db.session.commit()
    assert len(passkeys.shown(citizen_id, keyring=place.keyring)) == 1


def test_last_way_in_is_not_removed(place: Place) -> None:
    citizen_id = place.enrol(number=NUMBER).citizen_id
    first, second = (enrol(place, citizen_id, Authenticator()) for _ in range(2))
    assert passkeys.remove(citizen_id, first, keyring=place.keyring)
    db.session.commit()
    with pytest.raises(LastWayIn):
        passkeys.remove(citizen_id, second, keyring=place.keyring)
    assert [each.id for each in passkeys.shown(citizen_id, keyring=place.keyring)] == [second]


def take(place: Place, citizen: str, ids: list[str]) -> str:
    # By the parity of the process id, so that both are taken at once.
    passkey_id = UUID(ids.pop(os.getpid() % 2))
    try:
        passkeys.remove(UUID(citizen), passkey_id, keyring=place.keyring)
    except LastWayIn:
        return "last"
    db.session.commit()
    return "removed"


def test_one_passkey_remains_when_all_are_removed_at_once(
    place: Place, database_url: str, secrets_directory: Path
) -> None:
    citizen_id = place.enrol(number=NUMBER).citizen_id
    ids = [str(enrol(place, citizen_id, Authenticator())) for _ in range(2)]
    race(take, database_url, secrets_directory, processes=6, citizen=str(citizen_id), ids=ids)
    assert len(passkeys.shown(citizen_id, keyring=place.keyring)) == 1


def test_twentieth_passkey_is_the_last(place: Place, citizen_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passkey, "MOST", 1)
    enrol(place, citizen_id, Authenticator())
    assert passkey.begin_enrolment(citizen_id, account="x", bound_to=new_id(), settings=SETTINGS) is None
