"""The words of a notice: whole in three languages, in one voice, and nothing personal or clickable in them."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest

from idp.core.i18n import LANGUAGES, translation
from idp.notify.letter import Letter, compose
from idp.notify.notices import Notice

AT = datetime(2026, 11, 22, 18, 5, tzinfo=UTC)
FACTS = {"agency": {"vi": "Cục Thuế", "en": "Tax Office"}, "device": "Cốc Cốc, Windows"}


def made(kind: Notice, language: str = "en", **facts: object) -> Letter:
    return compose(kind, FACTS | facts, at=AT, language=language, service_name="LienKet")  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", Notice)
def test_every_kind_has_words_in_every_language(kind: Notice, language: str) -> None:
    for part in ("subject", "what", "advice"):
        assert translation(language).gettext(f"notice.{kind}.{part}") != f"notice.{kind}.{part}"
    letter = made(kind, language)
    assert "notice." not in letter.text + letter.html + letter.subject
    assert f'<html lang="{language}">' in letter.html
    # Seven hours ahead of UTC, and so the next day.
    assert "23/11/2026 01:05" in letter.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", Notice)
def test_nothing_can_be_clicked_and_the_subject_says_nothing_personal(kind: Notice, language: str) -> None:
    letter = made(kind, language)
    assert not re.search(r"https?:|www\.|href|src=", letter.text + letter.html)
    for fact in ("Thuế", "Tax", "Cốc", "Windows", "23/11"):
        assert fact not in letter.subject


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_forms_say_the_same(language: str) -> None:
    letter = made(Notice.NEW_DEVICE, language)
    body = re.sub(r"<[^>]+>", " ", letter.html.partition("<body")[2].partition(">")[2])
    assert unescape(body).split() == letter.text.split()


def test_place_and_device_are_named_in_the_language_of_the_letter() -> None:
    assert "Service: Tax Office" in made(Notice.NEW_DEVICE).text
    assert "Dịch vụ: Cục Thuế" in made(Notice.NEW_DEVICE, "vi").text
    # An agency without a French name is named in Vietnamese.
    assert "Service : Cục Thuế" in made(Notice.NEW_DEVICE, "fr").text
    assert "Device: Cốc Cốc, Windows" in made(Notice.NEW_DEVICE).text
    assert "Device: not known" in made(Notice.NEW_DEVICE, device="").text


def test_an_agencys_name_stays_a_name_whatever_it_holds() -> None:
    name = "Tax\r\n\r\nGo to <b>evil</b> & \u2028type your password"
    letter = made(Notice.NEW_AGENCY, agency={"vi": name, "en": name})
    assert "Service: Tax Go to <b>evil</b> & type your password\n" in letter.text
    assert "<b>" not in letter.html
    assert "&lt;b&gt;evil&lt;/b&gt; &amp;" in letter.html
