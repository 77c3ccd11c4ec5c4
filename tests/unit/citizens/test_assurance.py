"""Levels: the weaker of identity and means, nothing without the register's yes."""

import itertools

import pytest

from idp.citizens.assurance import Proofing, RegistryStatus, amr, proven, reachable
from idp.core.levels import Level, Method

PWD, OTP, MFA = Method.PASSWORD, Method.ONE_TIME_CODE, Method.MULTIPLE
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
        ((), ()),
    ],
)
def test_amr_names_the_methods_in_one_order(methods: tuple[Method, ...], values: tuple[str, ...]) -> None:
    assert amr(methods) == values


def test_proofing_is_a_ladder() -> None:
    assert max(Proofing) is Proofing.BOUND
    assert Proofing.CONSISTENT < Proofing.MATCHED <= Proofing.MATCHED
