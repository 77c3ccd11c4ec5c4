"""The words of a notice: whole in three languages, nothing personal, and one link that signs nobody in."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest

from idp.core.i18n import LANGUAGES, translate, translation
from idp.notify.channels import Letter
from idp.notify.codes import CodePurpose
from idp.notify.letter import compose, compose_code
from idp.notify.notices import Notice
from idp.notify.refusals import NOBODYS_ACT

AT = datetime(2026, 11, 22, 18, 5, tzinfo=UTC)
FACTS = {"agency": {"vi": "Cục Thuế", "en": "Tax Office"}, "device": "Cốc Cốc, Windows", "day": "07/12/2026"}
LINK = "https://dangnhap.example/not-me/TOKEN"


def made(kind: Notice, language: str = "en", *, not_me: str | None = LINK, **facts: object) -> Letter:
    return compose(kind, FACTS | facts, at=AT, language=language, service_name="LienKet", not_me=not_me)  # type: ignore[arg-type]


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
def test_only_the_report_can_be_clicked_and_the_subject_says_nothing_personal(kind: Notice, language: str) -> None:
    letter = made(kind, language)
    # In full, so that people see where it leads: once in the text, in HTML as address and as what is read.
    assert letter.text.count(LINK) == 1
    assert letter.html.count(LINK) == 2
    assert letter.html.count("href=") == 1
    assert not re.search(
        r"https?:|www\.|href|src=", (letter.text + letter.html).replace(f'href="{LINK}"', "").replace(LINK, "")
    )
    promise = translation(language).gettext("notice.not-me-safe")
    assert promise in letter.text
    bare = made(kind, language, not_me=None)
    assert not re.search(r"https?:|www\.|href|src=", bare.text + bare.html)
    assert promise not in bare.text
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


@pytest.mark.parametrize("purpose", CodePurpose)
@pytest.mark.parametrize("language", LANGUAGES)
def test_message_has_code_service_agency_and_warning_and_no_link(purpose: CodePurpose, language: str) -> None:
    agency = {"vi": "Cục\r\nThuế http", "en": "Tax\r\nhttp", "fr": "Impôts\r\nhttp"}
    letter = compose_code(purpose, {"code": "012345", "agency": agency}, language=language, service_name="LienKet")
    for text in (letter.text, letter.short, letter.html):
        assert "012345" in text
        assert "LienKet" in text
        assert " http" in text
        assert "code.wh" not in text + letter.subject
        assert "code.for" not in text
        assert not re.search(r"https?:|www\.|href", text)
    assert letter.short.startswith("012345")
    assert "\n" not in letter.short
    assert "012345" not in letter.subject
    # Three parts of a text message in Unicode.
    assert len(letter.short) <= 3 * 67


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(NOBODYS_ACT))
def test_message_of_what_nobody_did_says_what_to_do_next(kind: Notice, language: str) -> None:
    letter = made(kind, language, not_me=None)
    assert letter.short.endswith(translate(language, f"notice.{kind}.advice", service="LienKet"))
    assert translate(language, "notice.short") not in letter.short
