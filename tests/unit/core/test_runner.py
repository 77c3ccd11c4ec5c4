"""The loop of deliveries: it goes on whatever happens, and it ends when told to, with what is under way finished."""

import threading

import pytest

from idp.core import runner
from idp.core.database import DatabaseUnavailable


class Owed:
    """Deliveries that meet one trouble after the other, and then none."""

    name = "test"
    idle_seconds = 0.01

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.is_through = threading.Event()
        self.closed_after_the_last_round = False
        self._is_running = False

    def run_due(self, stop: threading.Event) -> int:
        self._is_running = True
        try:
            if self.troubles:
                raise self.troubles.pop(0)
            self.is_through.set()
            return 0
        finally:
            self._is_running = False

    def close(self) -> None:
        self.closed_after_the_last_round = not self._is_running


def test_deliveries_go_on_when_the_database_was_away_or_something_broke() -> None:
    owed = Owed(DatabaseUnavailable("away"), ValueError("a defect"), DatabaseUnavailable("away"))
    with runner.running([owed]):
        assert owed.is_through.wait(10)
    assert owed.troubles == []
    assert owed.closed_after_the_last_round


def test_one_kind_does_not_wait_for_another() -> None:
    gate = threading.Event()

    class Stuck(Owed):
        def run_due(self, stop: threading.Event) -> int:
            gate.wait(10)
            return super().run_due(stop)

    stuck, free = Stuck(), Owed()
    with runner.running([stuck, free]):
        assert free.is_through.wait(10)
        assert not stuck.is_through.is_set()
        gate.set()


def test_waking_does_not_wait_for_the_next_look() -> None:
    looked = threading.Semaphore(0)

    class Watched(Owed):
        idle_seconds = 60

        def run_due(self, stop: threading.Event) -> int:
            looked.release()
            return super().run_due(stop)

    with runner.running([Watched()]):
        assert looked.acquire(timeout=10)
        for _ in range(3):
            runner.wake("test")
            assert looked.acquire(timeout=10)
    # And nobody waits a minute for the end.


def test_everything_ends_when_the_body_fails() -> None:
    owed = Owed()
    with pytest.raises(LookupError), runner.running([owed]):
        raise LookupError
    assert owed.closed_after_the_last_round
    assert not [thread for thread in threading.enumerate() if thread.name == "test-runner"]
