"""Levels: the weaker of identity and means, nothing without the register's yes."""

import itertools

import pytest

from idp.citizens.assurance import (
    Proofing,
    RegistryStatus,
    amr,
    level_at_home,
    level_of_means,
    may_enrol,
    may_enrol_key,
    national_levels,
    proven,
    reachable,
    vouching,
)
from idp.core.levels import Level, Method

PWD, OTP, MFA = Method.PASSWORD, Method.ONE_TIME_CODE, Method.MULTIPLE
SMS, RECOVERY = Method.SMS, Method.RECOVERY
HWK, SWK, USER = Method.HARDWARE_KEY, Method.SOFTWARE_KEY, Method.USER_PRESENT
ACTIVE = RegistryStatus.ACTIVE


@pytest.mark.parametrize(
    ("proofing", "methods", "level"),
    [
        (Proofing.WELL_FORMED, {PWD, OTP}, Level.NONE),
        (Proofing.CONSISTENT, {PWD, OTP}, Level.NONE),
        (Proofing.MATCHED, {PWD}, Level.LOA1),
        (Proofing.MATCHED, {PWD, OTP}, Level.LOA1),
        (Proofing.BOUND, {PWD}, Level.LOA1),
        (Proofing.BOUND, {PWD, OTP}, Level.LOA2),
        (Proofing.BOUND, {PWD, OTP, MFA}, Level.LOA2),
        (Proofing.BOUND, {OTP}, Level.NONE),
        (Proofing.BOUND, {PWD, SMS}, Level.LOA2),
        (Proofing.BOUND, {SMS}, Level.NONE),
        (Proofing.BOUND, {PWD, RECOVERY}, Level.LOA1),
        (Proofing.BOUND, {PWD, RECOVERY, OTP}, Level.LOA2),
        (Proofing.BOUND, {RECOVERY}, Level.NONE),
        (Proofing.BOUND, {RECOVERY, OTP, SMS}, Level.NONE),
        (Proofing.BOUND, {SWK, USER}, Level.LOA2),
        (Proofing.BOUND, {HWK, USER}, Level.LOA3),
        (Proofing.BOUND, {PWD, HWK, USER, MFA}, Level.LOA3),
        (Proofing.BOUND, {USER, MFA}, Level.NONE),
        (Proofing.MATCHED, {HWK, USER}, Level.LOA1),
        (Proofing.CONSISTENT, {HWK, USER}, Level.NONE),
        (Proofing.BOUND, set(), Level.NONE),
    ],
)
def test_level_is_the_weaker_of_identity_and_means(proofing: Proofing, methods: set[Method], level: Level) -> None:
    assert proven(proofing, ACTIVE, methods) is level
    assert reachable(proofing, ACTIVE, frozenset(methods)) is level


@pytest.mark.parametrize("status", [status for status in RegistryStatus if status is not ACTIVE])
def test_level_is_none_when_the_register_does_not_say_active(status: RegistryStatus) -> None:
    assert {proven(proofing, status, {PWD, OTP}) for proofing in Proofing} == {Level.NONE}


def test_password_and_code_never_prove_loa3() -> None:
    for proofing, status in itertools.product(Proofing, RegistryStatus):
        assert proven(proofing, status, {PWD, OTP, MFA}) < Level.LOA3


@pytest.mark.parametrize(
    ("methods", "values"),
    [
        ((PWD,), ("pwd",)),
        ((OTP, PWD), ("pwd", "otp", "mfa")),
        ((PWD, OTP, MFA), ("pwd", "otp", "mfa")),
        ((USER, HWK), ("hwk", "user", "mfa")),
        ((SWK, USER, PWD), ("pwd", "swk", "user", "mfa")),
        ((SMS, PWD), ("pwd", "sms", "mfa")),
        ((RECOVERY, PWD), ("pwd", "recovery")),
        ((), ()),
    ],
)
def test_amr_names_the_methods_in_one_order(methods: tuple[Method, ...], values: tuple[str, ...]) -> None:
    assert amr(methods) == values


OWN = [method for method in Method if not method.value.startswith("vouched")]
EVERY_USE = [frozenset(used) for size in range(4) for used in itertools.combinations(OWN, size)]


def test_level_is_never_above_proofing_or_means() -> None:
    """For every combination of identity, register and up to three methods."""
    by_proofing = {Proofing.MATCHED: Level.LOA1, Proofing.BOUND: Level.LOA3}
    for proofing, status, used in itertools.product(Proofing, RegistryStatus, EVERY_USE):
        level = proven(proofing, status, used)
        assert level <= level_of_means(used)
        assert level <= by_proofing.get(proofing, Level.NONE)
        assert status is ACTIVE or level is Level.NONE
        assert level < Level.LOA3 or HWK in used


def test_recovery_code_never_raises_a_level() -> None:
    for used in EVERY_USE:
        assert level_of_means(used | {RECOVERY}) is level_of_means(used - {RECOVERY})
        assert ("mfa" in amr(used | {RECOVERY})) is ("mfa" in amr(used - {RECOVERY}))


def test_recovery_code_is_a_second_factor_at_home_alone() -> None:
    assert level_at_home({PWD, RECOVERY}) is Level.LOA2
    assert level_at_home({RECOVERY}) is level_at_home({RECOVERY, OTP}) is Level.NONE
    for used in EVERY_USE:
        assert level_at_home(used) >= level_of_means(used)
        assert level_at_home(used - {RECOVERY}) is level_of_means(used - {RECOVERY})


def test_no_password_alone_adds_a_way_to_a_bound_account() -> None:
    for used in EVERY_USE:
        factors = used - {RECOVERY, SMS}
        assert may_enrol_key(Proofing.BOUND, used) is (level_of_means(factors) >= Level.LOA2)
        assert may_enrol(Proofing.BOUND, used) is (level_at_home(used) >= Level.LOA2)
        assert may_enrol(Proofing.MATCHED, used)
    assert not may_enrol(Proofing.BOUND, {PWD})


def test_national_levels_are_never_above_what_was_proven() -> None:
    """Decree 69/2024, art. 20: one factor is 1, two are 2, and without a biometric that a server compared no more."""
    for proofing, status, used in itertools.product(Proofing, RegistryStatus, EVERY_USE):
        told = national_levels(proven(proofing, status, used), used)
        assert told.get("vn_auth_level", 0) == min(2, level_of_means(used))
        is_seen = proofing is Proofing.BOUND and status is ACTIVE and level_of_means(used) >= Level.LOA2
        assert told.get("vn_account_level") == (2 if is_seen else None)


def test_what_a_provider_vouches_for_holds_for_whom_the_register_confirms_and_lends_nothing_to_our_means() -> None:
    for proofing, status, used, level in itertools.product(Proofing, RegistryStatus, EVERY_USE, Level):
        found = proven(proofing, status, used | vouching(level))
        if status is not ACTIVE or proofing < Proofing.MATCHED:
            assert found is Level.NONE
        elif Method.ASSISTED in used:
            assert found <= Level.LOA1
        else:
            assert found >= level
            if proofing is Proofing.MATCHED:
                assert found <= max(Level.LOA1, level)


def test_a_code_of_ours_is_a_second_factor_beside_a_provider() -> None:
    assert level_of_means({OTP} | vouching(Level.LOA1)) is Level.LOA2
    assert amr({OTP} | vouching(Level.LOA1)) == ("otp", "mfa")
    assert amr(vouching(Level.LOA3)) == ()


def test_proofing_is_a_ladder() -> None:
    assert max(Proofing) is Proofing.BOUND
    assert Proofing.CONSISTENT < Proofing.MATCHED <= Proofing.MATCHED
