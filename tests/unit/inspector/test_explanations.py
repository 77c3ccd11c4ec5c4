"""Whatever a client can be refused with is explained: section, why and how to mend it, in every language."""

import pytest

from idp.core import errors, i18n
from idp.inspector.explanations import SECTIONS, explanation_of

# Registration has its own endpoint and answers; ID-022, ID-041 and ID-201 are pages no client leads to.
_ELSEWHERE = {"PR-401", "PR-402", "PR-403", "PR-404", "PR-405", "PR-406", "ID-022", "ID-041", "ID-201"}


def test_every_code_a_client_can_meet_is_explained() -> None:
    codes = {entry.code for entry in vars(errors).values() if isinstance(entry, errors.Entry)}
    assert len(codes) > 100
    assert codes - _ELSEWHERE == SECTIONS.keys()


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_explanation_has_words(language: str) -> None:
    told = [explanation for code in SECTIONS if (explanation := explanation_of(code))]
    assert len(told) == len(SECTIONS)
    for explanation in told:
        for words in (explanation.why(language), explanation.mend(language)):
            # Without a text gettext gives back the id.
            assert words, explanation.code
            assert not words.startswith("inspect."), explanation.code
        assert explanation.section


def test_what_went_well_needs_no_explanation() -> None:
    assert explanation_of("ok") is None
