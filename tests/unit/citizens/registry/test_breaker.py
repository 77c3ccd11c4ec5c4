"""A register that does not answer is left alone, then tried with one question."""

import pytest

from idp.citizens.registry import Malformed, NotAuthorised, RegistryFailure, Timeout, Unavailable
from idp.citizens.registry.breaker import PATIENCE, RESTS, Breaker, State


class Ticks:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def breaker(ticks: Ticks) -> Breaker:
    return Breaker(tick=ticks)


def fail(breaker: Breaker, failure: type[RegistryFailure] = Timeout, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(failure), breaker.turn():
            raise failure("word")


def answer(breaker: Breaker) -> None:
    with breaker.turn():
        pass


def is_refused(breaker: Breaker) -> bool:
    try:
        answer(breaker)
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize("failure", [Timeout, Unavailable])
def test_the_register_is_left_alone_when_it_was_silent_too_often(
    breaker: Breaker, failure: type[RegistryFailure]
) -> None:
    fail(breaker, failure, PATIENCE - 1)
    assert breaker.state is State.CLOSED
    fail(breaker, failure)
    assert breaker.state is State.OPEN
    assert is_refused(breaker)


def test_failures_count_only_in_a_row(breaker: Breaker) -> None:
    for _ in range(3):
        fail(breaker, times=PATIENCE - 1)
        answer(breaker)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("failure", [Malformed, NotAuthorised])
def test_an_answer_that_came_at_once_is_no_silence(breaker: Breaker, failure: type[RegistryFailure]) -> None:
    fail(breaker, failure, 3 * PATIENCE)
    assert breaker.state is State.CLOSED


def test_one_question_goes_out_when_the_rest_is_over(breaker: Breaker, ticks: Ticks) -> None:
    fail(breaker, times=PATIENCE)
    ticks.now += RESTS[0] - 0.001
    assert is_refused(breaker)
    ticks.now += 0.001
    assert breaker.state is State.HALF_OPEN
    with breaker.turn():
        assert is_refused(breaker)
    assert breaker.state is State.CLOSED
    fail(breaker, times=PATIENCE - 1)
    assert breaker.state is State.CLOSED


def test_the_rest_grows_when_the_probe_fails_too(breaker: Breaker, ticks: Ticks) -> None:
    fail(breaker, times=PATIENCE)
    for rest in (*RESTS[1:], RESTS[-1]):
        ticks.now += RESTS[-1]
        fail(breaker)
        ticks.now += rest - 0.001
        assert breaker.state is State.OPEN
        ticks.now += 0.001
        assert breaker.state is State.HALF_OPEN
    answer(breaker)
    fail(breaker, times=PATIENCE)
    ticks.now += RESTS[0]
    assert breaker.state is State.HALF_OPEN


def test_late_endings_change_nothing_when_the_register_rests(breaker: Breaker, ticks: Ticks) -> None:
    answers_late, fails_late = breaker.turn(), breaker.turn()
    answers_late.__enter__()
    fails_late.__enter__()
    fail(breaker, times=PATIENCE)
    ticks.now += 10
    answers_late.__exit__(None, None, None)
    assert not fails_late.__exit__(Timeout, Timeout(), None)
    assert breaker.state is State.OPEN
    ticks.now += RESTS[0] - 10
    assert breaker.state is State.HALF_OPEN


def test_another_probe_is_let_out_when_the_first_ends_in_a_mistake_of_ours(breaker: Breaker, ticks: Ticks) -> None:
    fail(breaker, times=PATIENCE)
    ticks.now += RESTS[0]
    with pytest.raises(KeyError), breaker.turn():
        raise KeyError
    assert breaker.state is State.HALF_OPEN
    answer(breaker)
    assert breaker.state is State.CLOSED
