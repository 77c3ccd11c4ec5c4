"""docs/specifications.md says what is so: every requirement known, and held by a test or openly not yet."""

from itertools import chain

import pytest

from tests.spec import catalogue, checklist
from tests.spec.catalogue import NEEDS_TEST, Requirement
from tests.spec.checklist import Holders

# One collection serves all of them.
pytestmark = pytest.mark.xdist_group("checklist")


@pytest.fixture(scope="module")
def held() -> Holders:
    """Return which requirement is held by which tests."""
    return checklist.holders()


@pytest.fixture(scope="module")
def requirements() -> dict[str, Requirement]:
    """Return the whole catalogue by id."""
    every = chain.from_iterable(specification.requirements for specification in catalogue.specifications())
    return {requirement.id: requirement for requirement in every}


def test_the_page_says_what_the_tests_say(held: Holders) -> None:
    written = checklist.document(catalogue.specifications(), held, catalogue.open_list().reasons)
    assert written == checklist.DOCUMENT.read_text(), "run: make checklist"


def test_tests_hold_only_requirements_that_exist(held: Holders, requirements: dict[str, Requirement]) -> None:
    unknown = {name: tests for name, tests in held.items() if name not in requirements}
    assert not unknown


def test_every_requirement_has_a_test_or_is_openly_without(held: Holders, requirements: dict[str, Requirement]) -> None:
    bare = {name for name, one in requirements.items() if one.state in NEEDS_TEST and not held.get(name)}
    assert bare == catalogue.open_list().reasons.keys(), "run: make checklist"


def test_the_list_of_what_is_not_tested_only_shrinks() -> None:
    listed = catalogue.open_list()
    assert len(listed.reasons) <= listed.at_most
