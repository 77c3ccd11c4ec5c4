"""The catalogues are whole in every language, and the right language is found whatever the browser says."""

import re

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from idp.core import errors, i18n

# OpenID Connect Core 1.0, 5.1, and the private claims of our own scopes.
CLAIMS = [
    "sub", "name", "family_name", "middle_name", "given_name", "nickname", "preferred_username", "profile",
    "picture", "website", "email", "email_verified", "gender", "birthdate", "zoneinfo", "locale",
    "phone_number", "phone_number_verified", "address", "updated_at", "identification_number",
    "identification_number_scheme", "birthplace", "place_of_birth", "nationalities",
    "birth_registration_place",
]  # fmt: skip
# From 100 on, a code goes to a portal's developer as an OAuth error and never to a page.
PAGE_CODES = sorted(
    entry.code for entry in vars(errors).values() if isinstance(entry, errors.Entry) and int(entry.code[3:]) < 100
)


def catalogue(language: str) -> Catalog:
    path = i18n.TRANSLATIONS / language / "LC_MESSAGES" / "idp.po"
    with path.open("rb") as file:
        return read_po(file, locale=language, domain="idp", abort_invalid=True)


def texts(language: str) -> dict[str, str]:
    return {message.id: message.string for message in catalogue(language) if message.id}


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_language_has_every_text_when_compared_with_vietnamese(language: str) -> None:
    assert texts(language).keys() == texts("vi").keys()
    assert [key for key, text in texts(language).items() if not text.strip()] == []
    assert [message.id for message in catalogue(language) if message.fuzzy] in ([], [""])


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_entry_has_one_id_and_one_text(language: str) -> None:
    """A merge can lay two entries into one, which gettext reads as one text of two sentences."""
    text = (i18n.TRANSLATIONS / language / "LC_MESSAGES" / "idp.po").read_text("utf-8")
    entries = [
        (len(re.findall("^msgid ", each, re.MULTILINE)), len(re.findall("^msgstr ", each, re.MULTILINE)))
        for each in text.split("\n\n")
    ]
    assert set(entries) <= {(1, 1), (0, 0)}


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_placeholders_are_the_same_in_every_language(language: str) -> None:
    def placeholders(text: str) -> list[str]:
        return sorted(set(re.findall(r"%\((\w+)\)s", text)))

    other = texts(language)
    assert {key: placeholders(text) for key, text in texts("vi").items()} == {
        key: placeholders(text) for key, text in other.items()
    }
    # Newstyle gettext always formats: a lone percent sign would be an error page.
    assert [key for key, text in other.items() if "%" in re.sub(r"%\(\w+\)s", "", text)] == []


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_texts_hold_no_markup_since_templates_trust_them(language: str) -> None:
    assert [key for key, text in texts(language).items() if re.search(r'[<>&"]', text)] == []


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_compiled_catalogue_is_up_to_date(language: str) -> None:
    # Texts, not bytes: the compiled header names the Babel that wrote it.
    with (i18n.TRANSLATIONS / language / "LC_MESSAGES" / "idp.mo").open("rb") as file:
        compiled = read_mo(file)
    assert {message.id: message.string for message in compiled if message.id} == texts(language), (
        "run: pybabel compile -d idp/translations -D idp"
    )


def test_every_error_code_has_words_for_people() -> None:
    wanted = {f"error.{code}.{part}" for code in PAGE_CODES for part in ("title", "message", "advice")}
    assert len(PAGE_CODES) >= 19
    assert wanted <= texts("vi").keys()


def test_every_claim_has_a_name() -> None:
    assert {f"claim.{name}" for name in CLAIMS} <= texts("vi").keys()


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ({}, "vi"),
        ({"accept_language": "en-GB,en;q=0.9,vi;q=0.8"}, "en"),
        ({"accept_language": "de-DE, fr;q=0.5, en;q=0.4"}, "fr"),
        ({"accept_language": "en;q=0.2, fr ; q=0.7"}, "fr"),
        ({"accept_language": "en;q=0, fr;q=0.1"}, "fr"),
        ({"accept_language": "en;q=0"}, "vi"),
        ({"accept_language": "*"}, "vi"),
        ({"accept_language": "en;q=nan, fr;q=1e9, ;;;,,=,q"}, "vi"),
        ({"accept_language": "de," * 5000 + "en"}, "vi"),
        ({"ui_locales": ["de", "EN-gb", "fr"], "accept_language": "fr"}, "en"),
        ({"ui_locales": ["fr_CA"]}, "fr"),
        ({"ui_locales": ["english", "", "\x00", "e n"]}, "vi"),
        ({"cookie": "fr", "ui_locales": ["en"]}, "fr"),
        ({"cookie": "../../etc/passwd", "ui_locales": ["en"]}, "en"),
        ({"chosen": "en", "cookie": "fr", "ui_locales": ["vi"], "accept_language": "fr"}, "en"),
        ({"chosen": "xx", "cookie": "fr"}, "fr"),
    ],
)
def test_negotiate_finds_the_language_when_told(said: dict[str, object], language: str) -> None:
    assert i18n.negotiate(**said) == language


@given(chosen=st.text(), cookie=st.text(), ui_locales=st.lists(st.text()), accept_language=st.text())
def test_negotiate_never_fails_when_given_garbage(
    chosen: str, cookie: str, ui_locales: list[str], accept_language: str
) -> None:
    said = i18n.negotiate(chosen=chosen, cookie=cookie, ui_locales=ui_locales, accept_language=accept_language)
    assert said in i18n.LANGUAGES


@pytest.mark.parametrize("language", ["de", "", "../vi", "VI"])
def test_translation_is_refused_when_the_language_is_not_ours(language: str) -> None:
    with pytest.raises(FileNotFoundError):
        i18n.translation(language)


def test_translate_fills_placeholders_in_the_language_asked() -> None:
    assert i18n.translate("vi", "form.cancel", agency="Thư viện số") == "Hủy và quay lại Thư viện số"
    assert i18n.translate("en", "form.cancel", agency="Digital library") == "Cancel and go back to Digital library"


def test_gettext_callables_follow_the_language_of_the_moment() -> None:
    moment = ["vi"]
    text, counted_text = i18n.gettext_callables(lambda: moment[0])
    assert text("login.title") == "Đăng nhập"
    moment[0] = "fr"
    assert text("login.title") == "Se connecter"
    assert counted_text("one", "many", 2) == "many"


@pytest.mark.parametrize(
    ("language", "birthdate", "words"),
    [
        ("vi", "1985-03-05", "ngày 5 tháng 3 năm 1985"),
        ("en", "1985-12-31", "31 December 1985"),
        ("fr", "1985-08-15", "15 août 1985"),
        ("vi", "1931", "năm 1931 (chỉ xác định được năm sinh)"),
        ("en", "1985-13-01", "1985-13-01"),
        ("en", "1985-00-00", "1985-00-00"),
        ("en", "31/12/1985", "31/12/1985"),
        ("en", "", ""),
    ],
)
def test_date_words_say_a_birthdate_and_keep_what_they_cannot_read(language: str, birthdate: str, words: str) -> None:
    assert i18n.date_words(language, birthdate) == words
