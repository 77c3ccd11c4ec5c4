"""Every page renders in every language, whole, light, without a script, and escapes whatever it is handed."""

import gzip
import hashlib
import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, PrefixLoader, StrictUndefined

from idp.core import i18n
from idp.core.levels import Level
from idp.sso.steps.second_factor import Ways

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "idp" / "static"
MANIFEST = json.loads((STATIC / "manifest.json").read_text(encoding="utf-8"))
HOSTILE = """<script>alert(1)</script>" onfocus="alert(2)" x='"""
VOID = {"meta", "link", "input", "rect", "br", "hr", "img", "path"}


class Strict(StrictUndefined):
    """Refuse every name of ours that is missing; let the library's macros look for parameters nobody gave."""

    @property
    def lenient(self) -> bool:
        return isinstance(self._undefined_obj, dict) or self._undefined_name in {"caller", "undefined", "null"}

    def __bool__(self) -> bool:
        return False if self.lenient else super().__bool__()

    def __str__(self) -> str:
        return "" if self.lenient else super().__str__()

    def __len__(self) -> int:
        return 0 if self.lenient else super().__len__()

    def __iter__(self) -> Any:
        return iter(()) if self.lenient else super().__iter__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strict) if self.lenient else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


class Page(HTMLParser):
    """The elements of a page, its title and its readable text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.title = ""
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title += data
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def by_id(self, id_: str) -> dict[str, str | None]:
        (found,) = [attributes for _, attributes in self.elements if attributes.get("id") == id_]
        return found


@cache
def environment(language: str) -> Environment:
    library = PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})
    loader = ChoiceLoader([FileSystemLoader(TEMPLATES), library])
    made = Environment(loader=loader, autoescape=True, undefined=Strict, extensions=["jinja2.ext.i18n"])
    made.install_gettext_callables(*i18n.gettext_callables(lambda: language), newstyle=True)
    return made


def item(label: str, *values: str, new: bool = False) -> SimpleNamespace:
    return SimpleNamespace(label=label, values=list(values), purpose="the purpose", new=new)


def contexts(name: str) -> dict[str, dict[str, Any]]:
    """Return, by template, what the views hand in; `name` stands wherever a value comes from outside."""
    form = {"agency": name, "action": "/signin/h/step", "cancel_action": "/signin/h/cancel", "csrf": "c" * 43}
    form |= {"shown_to": "p" * 43, "elsewhere": True, "logo_url": name}
    field = {**form, "errors": []}
    disclosure = {
        **form,
        "full_name": name,
        "purpose_items": [item("Full name", name, new=True), item("Address", "Line one", name)],
        "remembered_items": [item("E-mail", name)],
        "anonymous": False,
        "policy_url": name,
        "tos_url": name,
        "legal_basis": name,
    }
    person = SimpleNamespace(
        full_name=name, number="979191000001", number_end="001", account_level=Level.LOA2, level=Level.LOA1
    )
    back = SimpleNamespace(kind="form", url="/signin/h/cancel", csrf="c" * 43, agency=name)
    return {
        "home.html": {},
        "sso/login.html": {
            **field,
            "form": SimpleNamespace(number=name),
            "reauthentication": True,
            "passkey_options": name,
        },
        "sso/totp.html": {
            **field,
            "step_up": True,
            "ways": Ways(by_code=True, by_key=True, needs_bound_key=True, code_settles=True, by_settling=True),
            "passkey_options": name,
        },
        "sso/consent.html": disclosure,
        "sso/notice.html": disclosure,
        "sso/select_account.html": {**form, "full_name": name},
        "oidc/logout.html": {
            "agencies": [name], "stay_url": name, "hidden": {"state": name}, "action": "/logout", "csrf": "c" * 43,
        },
        "oidc/signed_out.html": {
            "services": [(name, name, told) for told in ("confirmed", "waiting", "unconfirmed", "browser", "untold")],
            "confirmed": 1, "is_asked": True, "is_waiting": True, "is_left_open": True, "again_url": "/logout/done",
            "back_url": name, "home_url": name, "agency": name, "moves_on": True, "frames": [(name, name)],
        },
        "oidc/form_post.html": {"agency": name, "action": "https://portal.example/cb", "fields": {"state": name}},
        "decoupled/device.html": {"user_code": name, "errors": [], "action": "/device"},
        "decoupled/confirm.html": {
            **form, "is_device": False, "shown": name, "agency_name": name, "purposes": [name], "sent": [name],
            "minutes": 2, "full_name": name,
        },
        "decoupled/end.html": {"agency": name, "is_approved": True},
        "decoupled/approvals.html": {
            "rows": [SimpleNamespace(agency=name, agency_name=name, shown=name, minutes=2, token="t" * 43)],
            "action": "/approvals",
        },
        "account/sign_in.html": {"action": "/account/signin", "wanted": name, "is_again": True},
        "account/home.html": {
            "person": person, "signed_in_at": "22/11/2026 16:20", "links": [("approvals", "/approvals", 2)],
            "action": "/account", "csrf": "c" * 43,
        },
        "account/passkeys.html": {
            "may_add": True,
            "rows": [
                {"name": name, "kind": kind, "created": "22/11/2026", "last_used": None, "path": "/account/passkeys/1"}
                for kind in ("bound", "synced", "copied")
            ],
            "done": "added", "is_offered": True, "action": "/account/passkeys", "csrf": "c" * 43,
        },
        "account/passkey_add.html": {
            "passkey_options": name, "errors": [], "action": "/account/passkeys/add", "csrf": "c" * 43,
        },
        "account/passkey_name.html": {
            "name": name, "errors": [], "action": "/account/passkeys/1/name", "csrf": "c" * 43,
        },
        "account/passkey_remove.html": {
            "name": name, "errors": [], "action": "/account/passkeys/1/remove", "csrf": "c" * 43,
        },
        "account/history.html": {
            "lines": [
                {
                    "at": "22/11/2026 16:20", "client": name, "agency": name, "device": name, "network": name,
                    "level": "loa2", "is_consent": False, "legal_basis": name,
                    "items": [(name, name, True), (name, "", False)],
                },
                {"at": "22/11/2026 16:20", "client": "", "agency": "", "device": "", "network": "", "level": "",
                 "is_consent": False, "legal_basis": "", "items": []},
            ],
            "is_all": False, "is_first": False, "agency": name, "agencies": [(name, "/account/history?agency=a")],
            "newest_url": "/account/history", "older_url": "/account/history?before=1", "range_url": "?all=1",
            "every_url": "/account/history", "action": "/account/history", "csrf": "c" * 43,
        },
        "account/sessions.html": {
            "rows": [
                {"device": name, "network": name, "opened_at": "22/11/2026 16:20", "level": "loa2", "is_this": is_this,
                 "which": "w" * 43}
                for is_this in (True, False)
            ],
            "has_others": True, "ended": [(name, "22/11/2026 16:20")], "action": "/account/sessions", "csrf": "c" * 43,
        },
        "account/agencies.html": {
            "by_consent": [(name, name, "/account/agencies/a")], "by_law": [(name, name, "/account/agencies/b")],
            "withdrawn": [(name, "22/11/2026 16:20")], "action": "/account/agencies", "csrf": "c" * 43,
        },
        "account/agency.html": {
            "name": name, "agency": name, "is_consent": True, "since": "22/11/2026", "legal_basis": name,
            "items": [("name", name, name, "22/11/2026"), ("email", name, "", "")],
            "lasting": [("22/11/2026 16:20", "22/11/2026 16:20", "22/11/2026 16:20")],
            "policy_url": name, "tos_url": name, "logo_url": name, "action": "/account/agencies/a", "csrf": "c" * 43,
        },
        "account/language.html": {
            "choices": [("vi", "Tiếng Việt", True), ("en", "English", False)], "action": "/account/language",
            "csrf": "c" * 43,
        },
        "account/data.html": {"action": "/account/data", "csrf": "c" * 43},
        "account/everything.html": {
            "sections": [("profile", [[(name, [name, name])]]), ("events", [])], "made_at": "22/11/2026 16:20",
        },
        "account/number.html": {"person": person, "action": "/account/number", "csrf": "c" * 43},
        "errors/error.html": {
            "title": name, "message": name, "advice": name, "code": "PR-001", "reference": name, "back": back,
        },
    }  # fmt: skip


PAGES = sorted(contexts(""))
# Of our own making, and no page needs them to be complete.
PASSKEY_SCRIPT = [{"src": "/static/" + MANIFEST["passkey.js"]["file"], "defer": None}]
SCRIPTS = {
    "oidc/form_post.html": [{"src": "/static/" + MANIFEST["form-post.js"]["file"]}],
    "sso/login.html": PASSKEY_SCRIPT,
    "sso/totp.html": PASSKEY_SCRIPT,
    "account/passkey_add.html": PASSKEY_SCRIPT,
}
EVERY_PAGE = pytest.mark.parametrize("template", PAGES)
EVERY_LANGUAGE = pytest.mark.parametrize("language", i18n.LANGUAGES)


def render(template: str, language: str = "vi", name: str = "Thư viện số", **changes: Any) -> Page:
    languages = [
        SimpleNamespace(code=code, label=i18n.LANGUAGE_LABELS[code], url=f"?lang={code}", current=code == language)
        for code in i18n.LANGUAGES
    ]
    common = {
        "language": language,
        "languages": languages,
        "asset": lambda logical: "/static/" + MANIFEST[logical]["file"],
        "service_name": "LienKet",
        "sandbox": True,
    }
    context = {**common, **contexts(name)[template], **changes}
    return Page(environment(language).get_template(template).render(context))


def test_every_template_is_rendered_here() -> None:
    found = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")}
    ours = ("home.html", "sso/", "oidc/", "decoupled/", "account/", "errors/")
    assert {path for path in found if path.startswith(ours)} == set(PAGES)


@EVERY_PAGE
@EVERY_LANGUAGE
def test_page_is_whole_in_every_language(template: str, language: str) -> None:
    page = render(template, language)
    assert page.all("html")[0]["lang"] == language
    assert page.title.endswith("LienKet")
    assert len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    switch = [link["hreflang"] for link in page.all("a") if "hreflang" in link]
    assert switch == [code for code in i18n.LANGUAGES if code != language]
    assert i18n.translate(language, "layout.sandbox-text") in page.text
    # A message id without a text comes out as itself.
    assert [key for key in re.findall(r"\b[a-z]+(?:\.[a-zA-Z0-9-]+)+", page.text) if "." in key] == []


@EVERY_PAGE
@EVERY_LANGUAGE
def test_hostile_names_are_text_when_a_page_shows_them(template: str, language: str) -> None:
    page = render(template, language, HOSTILE)
    assert [script for script in page.all("script") if script not in SCRIPTS.get(template, [])] == []
    assert [attributes for _, attributes in page.elements if any(key.startswith("on") for key in attributes)] == []
    # What was typed stands in the field again.
    if template not in (
        "home.html",
        "decoupled/device.html",
        "account/sign_in.html",
        "account/language.html",
        "account/data.html",
        "account/passkey_add.html",
        "account/passkey_name.html",
    ):
        assert HOSTILE in page.text


@EVERY_PAGE
def test_page_obeys_the_policy_without_inline_style_or_script(template: str) -> None:
    page = render(template)
    assert page.all("script") == SCRIPTS.get(template, [])
    assert page.all("style") == []
    assert [attributes for _, attributes in page.elements if "style" in attributes] == []


@EVERY_PAGE
def test_page_shows_our_brand_only(template: str) -> None:
    page = render(template)
    assert not re.search(r"gov\.uk|crown|GDS Transport", page.html, re.IGNORECASE)


@EVERY_PAGE
def test_every_form_posts_with_its_csrf_value(template: str) -> None:
    page = render(template)
    forms = page.all("form")
    assert all(form["method"] == "post" for form in forms)
    if template in ("decoupled/device.html", "account/sign_in.html", "oidc/form_post.html"):
        # Two open pages, as a link does: there is no state yet that a forged post could change. The third posts to
        # the portal.
        return
    tokens = [field["value"] for field in page.all("input") if field.get("name") in ("csrf", "token")]
    assert tokens == [("t" if template == "decoupled/approvals.html" else "c") * 43] * len(forms)


@pytest.mark.parametrize(
    ("template", "ids"),
    [
        (
            "sso/login.html",
            ["login-form", "number", "password", "login-submit", "passkey-form", "passkey-submit", "signin-cancel"],
        ),
        (
            "sso/totp.html",
            ["totp-form", "code", "totp-submit", "passkey-form", "settle-form", "settle-submit", "signin-cancel"],
        ),
        ("sso/consent.html", ["consent-form", "consent-allow", "consent-deny", "signin-cancel"]),
        ("sso/notice.html", ["notice-form", "notice-continue", "signin-cancel"]),
        ("sso/select_account.html", ["account-form", "account-continue", "account-other", "signin-cancel"]),
        ("oidc/logout.html", ["logout-form", "logout-confirm"]),
        ("oidc/signed_out.html", ["signed-out", "signed-out-count", "look-again", "signed-out-back"]),
        ("decoupled/device.html", ["device-form", "user_code", "device-submit"]),
        ("decoupled/confirm.html", ["confirm-form", "confirm-shown", "confirm-continue", "confirm-deny"]),
        ("decoupled/end.html", ["device-approved"]),
        ("decoupled/approvals.html", ["approval-form-1", "approval-open-1"]),
        ("account/sign_in.html", ["space-signin-form", "space-signin"]),
        ("account/passkeys.html", ["passkeys-done", "passkey-1", "passkey-name-1", "passkey-remove-1", "passkeys-add"]),
        ("account/passkey_add.html", ["passkey-form", "passkey-submit", "passkey-instead", "label"]),
        ("account/passkey_name.html", ["passkey-name-form", "label", "passkey-name-submit"]),
        ("account/passkey_remove.html", ["passkey-remove-form", "passkey-remove-submit"]),
        ("account/home.html", ["space-number-show", "space-approvals", "space-signout"]),
        ("account/history.html", ["history-range-other", "history-filter", "history-older", "history-newest"]),
        ("account/sessions.html", ["session-form-2", "sessions-end-others", "sessions-end-everywhere"]),
        ("account/agencies.html", ["agency-consent-1", "agency-law-1", "agencies-withdrawn"]),
        ("account/agency.html", ["agency-withdraw-name", "agency-lasting", "agency-withdraw-all"]),
        ("account/language.html", ["language-form-en", "language-en"]),
        ("account/data.html", ["data-file", "data-page"]),
        ("account/number.html", ["space-number", "space-back"]),
        ("errors/error.html", ["error-code", "error-reference", "error-back"]),
    ],
)
def test_page_carries_the_documented_ids(template: str, ids: list[str]) -> None:
    page = render(template)
    for id_ in ids:
        assert page.by_id(id_) is not None


def test_fields_ask_for_the_right_keyboard_and_memory() -> None:
    login, totp = render("sso/login.html"), render("sso/totp.html")
    assert login.by_id("number").items() >= {"inputmode": "numeric", "autocomplete": "username webauthn"}.items()
    assert login.by_id("password").items() >= {"type": "password", "autocomplete": "current-password"}.items()
    assert "value" not in login.by_id("password")
    assert totp.by_id("code").items() >= {"inputmode": "numeric", "autocomplete": "one-time-code"}.items()


@EVERY_LANGUAGE
def test_errors_stand_on_top_and_beside_the_field_when_a_form_comes_back(language: str) -> None:
    errors = [SimpleNamespace(field="", text="General."), SimpleNamespace(field="password", text="Password.")]
    page = render("sso/login.html", language, errors=errors)
    assert page.title.strip().startswith(i18n.translate(language, "form.error"))
    assert "autofocus" in page.by_id("error-summary")
    targets = [link["href"] for link in page.all("a") if (link["href"] or "").startswith("#")]
    assert targets == ["#main-content", "#number", "#password"]
    assert page.by_id("password")["aria-describedby"] == "password-error"
    assert "aria-describedby" in page.by_id("number")
    assert "error" not in (page.by_id("number")["aria-describedby"] or "")


@pytest.mark.parametrize("template", ["sso/consent.html", "sso/notice.html"])
def test_disclosure_shows_the_very_values_and_their_purpose(template: str) -> None:
    page = render(template, name="Nguyễn Thị Bưởi")
    for words in ("Full name", "Line one", "E-mail", "the purpose", "Nguyễn Thị Bưởi"):
        assert words in page.text
    assert page.text.count(i18n.translate("vi", "disclosure.new")) == 1


def test_nothing_is_called_new_on_the_first_visit() -> None:
    page = render("sso/consent.html", remembered_items=[])
    assert i18n.translate("vi", "disclosure.new") not in page.text
    assert page.all("details") == []


@pytest.mark.parametrize("template", ["sso/consent.html", "sso/notice.html"])
def test_anonymous_sign_in_says_that_nothing_is_sent(template: str) -> None:
    page = render(template, anonymous=True, purpose_items=[], remembered_items=[])
    assert i18n.translate("vi", "disclosure.anonymous") in page.text
    assert page.all("dl") == []


def test_error_page_leads_nowhere_when_there_is_no_way_back() -> None:
    page = render("errors/error.html", back=None)
    assert page.all("form") == []
    assert {link["href"] for link in page.all("a")} == {"#main-content", "/", "?lang=en", "?lang=fr"}


def test_sandbox_words_are_absent_when_the_profile_is_production() -> None:
    assert i18n.translate("vi", "layout.sandbox-text") not in render("home.html", sandbox=False).text


def test_every_message_id_in_the_templates_has_a_text() -> None:
    used = {
        message
        for path in TEMPLATES.rglob("*.html")
        for _, _, message in environment("vi").extract_translations(path.read_text(encoding="utf-8"))
        if isinstance(message, str)
    }
    assert len(used) > 50
    assert [message for message in sorted(used) if i18n.translation("vi").gettext(message) == message] == []


@EVERY_LANGUAGE
def test_sign_in_page_weighs_at_most_30_kilobytes_compressed(language: str) -> None:
    errors = [SimpleNamespace(field="number", text="x" * 80), SimpleNamespace(field="password", text="x" * 80)]
    html = render("sso/login.html", language, errors=errors).html.encode()
    rest = [(STATIC / "assets" / MANIFEST[name]["file"]).read_bytes() for name in ("lienket.css", "passkey.js")]
    assert sum(len(gzip.compress(part)) for part in (html, *rest)) <= 30_000


def test_manifest_tells_the_whole_truth_about_the_assets() -> None:
    assert {path.name for path in (STATIC / "assets").iterdir()} == {entry["file"] for entry in MANIFEST.values()}
    for entry in MANIFEST.values():
        digest = hashlib.sha256((STATIC / "assets" / entry["file"]).read_bytes()).hexdigest()
        assert entry["sha256"] == digest
        assert digest[:12] in entry["file"]
        assert all(source.keys() == {"package", "version", "licence"} for source in entry["sources"])
    pins = json.loads((STATIC / "build" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    named = {source["package"]: source["version"] for entry in MANIFEST.values() for source in entry["sources"]}
    assert {package: version for package, version in named.items() if package != "lienket"}.items() <= pins.items()


def test_stylesheet_loads_only_our_own_files() -> None:
    stylesheet = (STATIC / "assets" / MANIFEST["lienket.css"]["file"]).read_text(encoding="utf-8")
    fonts = {MANIFEST[name]["file"] for name in MANIFEST if name.endswith(".woff2")}
    assert set(re.findall(r'url\("?([^")]+)"?\)', stylesheet)) == fonts
    assert "GDS Transport" not in stylesheet
    assert stylesheet.count("font-display:swap") == stylesheet.count("unicode-range") == len(fonts) == 2
