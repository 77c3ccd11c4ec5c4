"""Places at providers: a few with each, not all threads with all of them (issue 5, item 6)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from time import monotonic
from uuid import UUID, uuid4

from idp.upstream.places import MOST_ASKING, MOST_THERE, MOST_TOGETHER, Places
from idp.upstream.refusal import UpstreamRefused


@contextmanager
def full(places: Places, provider_id: UUID) -> Iterator[None]:
    """Let as many ask a provider as may."""
    with ExitStack() as held:
        for _ in range(MOST_ASKING):
            held.enter_context(places.hold(provider_id))
        yield


def is_crowded(places: Places, provider_id: UUID) -> bool:
    try:
        with places.hold(provider_id):
            return False
    except UpstreamRefused:
        return True


def timed(places: Places, provider_id: UUID) -> tuple[bool, float]:
    """Tell whether a provider is crowded, and after how many seconds that was known."""
    begun = monotonic()
    return is_crowded(places, provider_id), monotonic() - begun


def test_provider_that_is_full_takes_no_place_of_another() -> None:
    places, hanging, other = Places(), uuid4(), uuid4()
    with full(places, hanging):
        assert is_crowded(places, hanging)
        assert not is_crowded(places, other)
    assert not is_crowded(places, hanging)


def test_all_providers_together_leave_threads_to_the_rest() -> None:
    places = Places()
    with ExitStack() as held:
        for _ in range(MOST_TOGETHER // MOST_ASKING):
            held.enter_context(full(places, uuid4()))
        crowded, seconds = timed(places, uuid4())
        # Nobody waits for these.
        assert crowded
        assert seconds < 0.4
    assert not is_crowded(places, uuid4())


def test_few_wait_for_one_provider_and_the_others_are_told_at_once() -> None:
    places, hanging = Places(), uuid4()
    with full(places, hanging), ThreadPoolExecutor(MOST_THERE * 2) as pool:
        told = list(pool.map(lambda _: timed(places, hanging), range(MOST_THERE * 2)))
    assert all(crowded for crowded, _ in told)
    assert sum(after >= 0.5 for _, after in told) <= MOST_THERE - MOST_ASKING
