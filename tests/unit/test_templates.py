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

from idp.citizens.assurance import Proofing
from idp.citizens.counter_acts import Act
from idp.console.providers.reading import State
from idp.core import i18n
from idp.core.levels import Level
from idp.counter.forms import DOCUMENTS, CardForm
from idp.sso.federation.choices import Choice
from idp.sso.federation.logout import FarewellForm
from idp.sso.forms import FieldError
from idp.sso.steps.second_factor import Ways

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "idp" / "static"
MANIFEST = json.loads((STATIC / "manifest.json").read_text(encoding="utf-8"))
HOSTILE = """<script>alert(1)</script>" onfocus="alert(2)" x='"""
CLOSED = ("upstream.closed.unavailable", "upstream.closed.agency", "upstream.closed.level")
RECORD = (
    "names", "descriptions", "issuer", "client", "auth", "secret", "endpoints", "levels", "without-acr", "ceiling",
    "amr", "scopes", "claims", "agencies", "signed", "encrypted", "flags",
)  # fmt: skip
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
    ways = {**field, "back": "/signin/h/login", "first": "/signin/h/forgotten"}
    desk = {"action": "/counter/step", "csrf": "c" * 43, "errors": [], "counter": name, "documents": DOCUMENTS}
    seen = SimpleNamespace(name=name, slug="a", version=3, problems=(name,), is_enabled=True, misses=2)
    office = {"action": "/console/step", "csrf": "c" * 43, "errors": []}
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
        full_name=name, number="979191000001", number_end="001", account_level=Level.LOA2, level=Level.LOA1,
        proofing=Proofing.MATCHED,
    )  # fmt: skip
    enrolment = {**field, "back_url": "/signin/h/enrol/person", "login_url": "/signin/h/login"}
    born = SimpleNamespace(number=name, full_name=name, day="1", month="2", year="1942")
    back = SimpleNamespace(kind="form", url="/signin/h/cancel", csrf="c" * 43, agency=name)
    return {
        "home.html": {},
        "sso/login.html": {
            **field,
            "form": SimpleNamespace(number=name),
            "reauthentication": True,
            "enrolment_url": "/signin/h/enrol",
            "is_shared": True,
            "is_reset": True,
            "forgotten": "/signin/h/forgotten",
            "passkey_options": name,
            "choices": [
                Choice("bd", name, name, "data:image/png;base64,AAAA", is_beta=True, banner=name, closed=None,
                       closed_text=None),
                *(
                    Choice(f"c{number}", name, name, None, is_beta=False, banner=None, closed=closed, closed_text=None)
                    for number, closed in enumerate(CLOSED)
                ),
                *(
                    Choice(reason, name, name, None, is_beta=False, banner=None, closed=f"upstream.closed.{reason}",
                           closed_text=text, since="22/11/2026 16:20", until="23/11/2026 16:20")
                    for reason, text in (("down", None), ("cut", name), ("cut-until", name))
                ),
                Choice("own", name, None, None, is_beta=False, banner=None, closed=CLOSED[0], closed_text=name),
            ],
            "upstream_action": "/signin/h/upstream/",
            "counter_path": "/signin/h/counter",
            "assist_path": "/signin/h/assist",
        },
        "sso/leaving.html": {**form, "provider": name, "notice": name, "back_url": "/signin/h/login?choose=1"},
        "enrolment/person.html": {**enrolment, "form": born, "look_again": True, "is_refused": False},
        "enrolment/contact.html": {
            **enrolment, "contact": name, "can_text": True, "is_silent": False, "full_name": name, "birth": "1942",
            "is_respelled": True, "is_renumbered": True,
        },
        "enrolment/contact_code.html": {**enrolment, "channel": "mail", "contact": name},
        "enrolment/known.html": enrolment,
        "enrolment/waiting.html": {
            **enrolment, "reference": name, "until": "22/11/2026 16:20", "proofing": "consistent", "contact": name,
        },
        "enrolment/password.html": {**enrolment, "has_password": True},
        "enrolment/second_factor.html": {**enrolment, "offered": ["app", "passkey", "later"]},
        "enrolment/app.html": {
            **enrolment, "qr_side": 57, "qr_path": "M4 4h7v1h-7z", "uri": "otpauth://totp/x?secret=A", "secret": name,
        },
        "enrolment/passkey.html": {**enrolment, "passkey_options": name},
        "enrolment/codes.html": {**enrolment, "codes": [name]},
        "sso/totp.html": {
            **field,
            "step_up": True,
            "ways": Ways(by_code=True, by_key=True, needs_bound_key=True, code_settles=True, by_settling=True),
            "passkey_options": name,
            "other_url": "/signin/h/code/other",
        },
        "sso/other.html": {
            **form, "ways": Ways(by_code=True, by_key=True, by_recovery=True), "has_key": True, "is_own": False,
            "phone_end": "67", "sms_url": "/signin/h/code/sms",
            "code_url": "/signin/h/code", "recovery_url": "/signin/h/code/recovery",
        },
        "sso/recovery.html": {**field, "other_url": "/signin/h/code/other"},
        "sso/sms.html": {**field, "phone_end": "67", "other_url": "/signin/h/code/other"},
        "sso/recovery_used.html": {**form, "left": 3, "next_url": "/signin/h"},
        "sso/forgotten.html": {**ways, "number": name},
        "sso/forgotten_code.html": {**ways, "may_choose_sms": True},
        "sso/forgotten_factor.html": {
            **ways, "ways": SimpleNamespace(by_code=True, by_recovery=True, by_passkey=True),
        },
        "sso/forgotten_end.html": {**ways, "has_passkey": True},
        "sso/forgotten_password.html": {**ways, "least": 15},
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
            "farewell": FarewellForm(name, "https://provider.example/logout", {"state": name, "csrf": "c" * 43}),
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
        "account/sign_in.html": {"action": "/account/signin", "wanted": name, "is_again": True, "is_blocked": True},
        "account/home.html": {
            "person": person, "signed_in_at": "22/11/2026 16:20", "groups": [("use", [("approvals", "/approvals", 2)])],
            "is_shared": True, "closes_on": "07/12/2026", "keep_csrf": "c" * 43, "action": "/account",
            "csrf": "c" * 43, "codes_left": 3,
        },
        "account/disown.html": {
            "at": "22/11/2026 16:20", "device": name, "network": name, "reference": "",
            "reported_at": "", "action": "/account/history/1", "csrf": "c" * 43,
        },
        "account/not_me.html": {
            "at": "22/11/2026 16:20", "what": name, "is_sign_in": True, "action": "/not-me/t", "csrf": "c" * 43,
        },
        "account/not_me_done.html": {
            "at": "22/11/2026 16:20", "what": name, "reference": "7H2K", "is_locked": False, "may_lock": True,
            "action": "/not-me/t/lock", "csrf": "c" * 43,
        },
        "account/lock.html": {"action": "/account/lock", "csrf": "c" * 43},
        "account/locked.html": {},
        "account/close.html": {
            "days": 15, "closes_on": "07/12/2026", "history_years": "5", "action": "/account/close", "csrf": "c" * 43,
        },
        "account/closing.html": {
            "days": 15, "closes_on": "07/12/2026", "keep_csrf": "c" * 43, "action": "/account/close", "csrf": "c" * 43,
        },
        "account/rights.html": {
            "answer_days": 2, "rows": [("correction", "/account/rights/correction", 20)],
            "asked": [
                {"right": "objection", "state": state, "reference": "7H2K", "asked_on": "22/11/2026",
                 "answer_due_on": "24/11/2026", "done_due_on": "07/12/2026", "answered_on": "23/11/2026",
                 "words": name, "answer": name}
                for state in ("open", "granted", "refused")
            ],
            "action": "/account/rights", "csrf": "c" * 43,
        },
        "account/rights_ask.html": {
            "right": "restriction", "words": name, "errors": [], "answer_days": 2, "days": 15,
            "action": "/account/rights/restriction", "csrf": "c" * 43,
        },
        "account/ways.html": {
            "ways": [(way, f"/account/{way}", name) for way in ("password", "apps", "passkeys", "recovery")],
            "action": "/account/ways", "csrf": "c" * 43,
        },
        "account/apps.html": {
            "rows": [
                {"name": name, "is_disabled": is_disabled, "added": "22/11/2026", "last_used": None,
                 "path": "/account/apps/1"}
                for is_disabled in (True, False)
            ],
            "done": "added", "may_add": True, "is_full": False, "action": "/account/apps", "csrf": "c" * 43,
        },
        "account/app_add.html": {
            "errors": [], "label": name, "qr_side": 57, "qr_path": "M4 4h7v1h-7z", "uri": "otpauth://totp/x?secret=A",
            "secret": "ABCD EFGH", "action": "/account/apps/add", "csrf": "c" * 43,
        },
        "account/app_name.html": {"name": name, "errors": [], "action": "/account/apps/1/name", "csrf": "c" * 43},
        "account/app_remove.html": {
            "name": name, "errors": [], "lowers": True, "action": "/account/apps/1/remove", "csrf": "c" * 43,
        },
        "account/recovery.html": {
            "left": 3, "is_done": True, "may_make": True, "action": "/account/recovery", "csrf": "c" * 43,
        },
        "account/recovery_new.html": {
            "codes": ["4FX-20K-CHJ-NPR-TVX-987"] * 10, "made_on": "22/11/2026", "had": 3,
            "action": "/account/recovery/new", "csrf": "c" * 43,
        },
        "account/passkeys.html": {
            "may_add": True, "needs_app": False,
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
        "account/contacts.html": {
            "rows": [
                {"kind": kind, "address": address, "is_proven": is_proven, "path": f"/account/contacts/{kind}",
                 "is_offered": True}
                for kind, address, is_proven in (("mail", name, True), ("phone", name, False))
            ],
            "by_sms": True, "may_choose": True, "done": "late", "action": "/account/contacts", "csrf": "c" * 43,
        },
        "account/contact.html": {
            "kind": "phone", "typed": name, "errors": [], "action": "/account/contacts/phone", "csrf": "c" * 43,
        },
        "account/contact_code.html": {
            "kind": "phone", "address": name, "errors": [], "action": "/account/contacts/phone/code", "csrf": "c" * 43,
            "back": "/account/contacts/phone",
        },
        "account/contact_remove.html": {
            "kind": "phone", "address": name, "is_last": True, "action": "/account/contacts/phone/remove",
            "csrf": "c" * 43,
        },
        "account/password.html": {
            "least": 15, "is_done": True, "has_password": True, "errors": [], "action": "/account/password",
            "csrf": "c" * 43,
        },
        "account/history.html": {
            "lines": [
                {
                    "at": "22/11/2026 16:20", "client": name, "agency": name, "device": name, "network": name,
                    "level": "loa2", "is_consent": False, "legal_basis": name, "counter": name, "reported": "7H2K",
                    "not_me_url": "",
                    "items": [(name, name, True, "register"), (name, "", False, "record"), (name, "", True, "citizen")],
                },
                {"at": "22/11/2026 16:20", "client": "", "agency": "", "device": "", "network": "", "level": "",
                 "is_consent": False, "legal_basis": "", "items": [], "counter": "", "reported": "",
                 "not_me_url": "/account/history/1"},
            ],
            "is_all": False, "is_first": False, "agency": name, "agencies": [(name, "/account/history?agency=a")],
            "newest_url": "/account/history", "older_url": "/account/history?before=1", "range_url": "?all=1",
            "every_url": "/account/history", "action": "/account/history", "csrf": "c" * 43,
        },
        "account/sessions.html": {
            "rows": [
                {"device": name, "network": name, "opened_at": "22/11/2026 16:20", "level": "loa2", "is_this": is_this,
                 "is_shared": is_this, "not_me_url": "/account/history/1", "which": "w" * 43}
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
            "days": 15, "policy_url": name, "tos_url": name, "logo_url": name, "action": "/account/agencies/a",
            "csrf": "c" * 43,
        },
        "account/language.html": {
            "choices": [("vi", "Tiếng Việt", True), ("en", "English", False)], "action": "/account/language",
            "csrf": "c" * 43,
        },
        "status.html": {
            "sign_in": "up", "register": "down", "at": "22/11/2026 16:20",
            "providers": [
                {"slug": word, "name": name, "word": word, "since": "22/11/2026 16:20", "reason": name,
                 "is_partial": True, "until": "22/11/2026 16:20"}
                for word in ("up", "slow", "down", "cut")
            ],
        },
        "account/providers.html": {
            "rows": [
                SimpleNamespace(slug="post", name=name, used_at="22/11/2026 16:20", is_allowed=True, is_in_use=True),
                SimpleNamespace(slug="bank", name=name, used_at="", is_allowed=True, is_in_use=False),
                SimpleNamespace(slug="shop", name=name, used_at="", is_allowed=False, is_in_use=False),
            ],
            "others": True, "errors": [], "action": "/account/providers", "csrf": "c" * 43,
        },
        "account/data.html": {"action": "/account/data", "csrf": "c" * 43},
        "account/everything.html": {
            "sections": [("profile", [[(name, [name, name])]]), ("events", [])], "made_at": "22/11/2026 16:20",
        },
        "account/mandates.html": {
            "live": [
                {"counter": name, "services": [name], "is_any": True, "purpose": name, "since": "22/11/2026",
                 "until": "22/11/2027", "reference": "0123456789", "path": "/account/mandates/1/end"}
            ],
            "ended": [(name, "22/11/2026 16:20", "0123456789")], "is_done": True,
            "acts": [("bind", "22/11/2026 16:20", name, "0123456789")], "action": "/account/mandates", "csrf": "c" * 43,
        },
        "account/mandate_end.html": {"counter": name, "action": "/account/mandates/1/end", "csrf": "c" * 43},
        "counter/sign_in.html": {"action": "/counter/signin", "wanted": name, "is_again": True},
        "counter/home.html": {**desk, "done": "mandate-made", "leave_csrf": "c" * 43},
        "counter/history.html": {**desk, "rows": [("helped", "22/11/2026 16:20", "0123456789", name)]},
        "counter/help.html": {**desk, "is_ready": False},
        "counter/card.html": {**desk, "form": CardForm(name, name, name, name, name, "id-card", True, name)},
        "counter/visit.html": {
            **desk, "full_name": name, "number_end": name, "birth": name, "reference": name, "has_account": True,
            "state": "choose", "act": None, "acts": [Act.BIND, Act.NEW, Act.REPLACE, Act.UNLOCK],
        },
        "counter/second.html": desk,
        "counter/mandate.html": {
            **desk, "form": {"number": name, "purpose": name}, "services": [("library", name)], "lengths": (30, 365),
        },
        "counter/mandate_end.html": {**desk, "number": name},
        "counter/code.html": {
            **field, "state": "shown", "code": name, "login_path": "/signin/h/login", "again_path": "/signin/h/counter",
        },
        "counter/confirm.html": {**field, "form": SimpleNamespace(number=name), "needs_code": True},
        "counter/password.html": {**field, "is_new": True, "least": 15},
        "counter/codes.html": {**field, "codes": (name, name)},
        "counter/assist.html": {
            **field, "number": name, "counter": name, "is_stale": False, "login_path": "/signin/h/login",
        },
        "account/number.html": {
            "person": person, "action": "/account/number", "csrf": "c" * 43, "formers": [(name, name)] * 2,
        },
        "console/sign_in.html": {"action": "/console/signin", "wanted": name, "is_again": True, "kept": name},
        "console/home.html": {
            **office, "role": "owner", "links": [("providers", "/console/providers"), ("staff", "/console/staff")],
            "has_joined": True, "leave_csrf": "c" * 43,
        },
        "console/invitation.html": {**office, "role": "auditor", "state": "weak", "wanted": name},
        "console/staff.html": {
            **office,
            "rows": [{"name": each, "role": "owner", "since": "22/11/2026 16:20", "is_self": True, "path": "/console"}
                     for each in (name, "")],
            "waiting": [{"mail": name, "role": "support", "until": "22/11/2026 16:20", "path": "/console"}],
            "can_change": True, "done": "invited",
        },
        "console/staff_invite.html": {**office, "mail": name, "role": "support", "roles": ["owner", "support"]},
        "console/staff_end.html": {**office, "name": name, "role": "owner", "is_self": False},
        "console/providers.html": {
            **office,
            "rows": [
                {"slug": each.value, "name": name, "state": each.value, "version": 3, "changed": "22/11/2026 16:20",
                 "path": "/console/providers/a"}
                for each in State
            ],
            "can_change": True,
        },
        "console/provider.html": {
            **office, "provider": seen, "state": "unusable", "done": "cut", "ended": 2, "changed": "22/11/2026 16:20",
            "health": {"word": "down", "since": "22/11/2026 16:20", "checked": "22/11/2026 16:21"},
            "cut": {"agencies": name, "level": "loa2", "reasons": {"vi": name}, "since": "22/11/2026 16:20",
                    "until": None},
            "rows": [(word, [name]) for word in RECORD], "document": name, "registered": {"jwks_uri": name},
            "path": "/console/providers/a", "can_change": True, "can_cut": True,
        },
        "console/provider_change.html": {
            **office, "known": seen, "text": name, "seen": 3, "newer": name,
            "changes": [SimpleNamespace(member=name, before=name, after=None)], "path": "/console/providers/a",
        },
        "console/provider_confirm.html": {
            **office, "known": seen, "text": name, "seen": 3,
            "changes": [SimpleNamespace(member=name, before=None, after=name)], "needs_secret": True, "is_kept": False,
        },
        "console/provider_switch.html": {
            **office, "provider": seen, "wanted": "disabled", "path": "/console/providers/a",
        },
        "console/provider_cut.html": {
            **office, "provider": seen, "form": {"agencies": name, "level": "any", "reason-vi": name}, "seen": 3,
            "levels": ["any", "loa1", "loa2", "loa3"], "is_again": False, "path": "/console/providers/a",
        },
        "console/provider_uncut.html": {
            **office, "provider": seen, "reasons": [("vi", name)], "path": "/console/providers/a",
        },
        "console/staff_withdraw.html": {**office, "mail": name, "role": "owner"},
        "sandbox/home.html": {"is_signed_out": False},
        "sandbox/people.html": {
            "people": [("ordinary", name, "901 085 000 101", "loa2")], "faults": ["none", "slow"], "fault": "slow",
            "errors": [], "action": "/signin/h",
        },
        "sandbox/person.html": {
            "form": SimpleNamespace(number=name, full_name=name, birthdate=name, subject=name, level="", methods=name),
            "levels": ("loa1", ""), "fault": "slow", "errors": [FieldError("subject", name)],
            "action": "/signin/h/person", "back": "/signin/h",
        },
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
    "enrolment/passkey.html": PASSKEY_SCRIPT,
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
    ours = (
        "home.html",
        "status.html",
        "sso/",
        "enrolment/",
        "oidc/",
        "decoupled/",
        "account/",
        "counter/",
        "console/",
        "errors/",
        "sandbox/",
    )
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
        "sandbox/home.html",
        "decoupled/device.html",
        "account/sign_in.html",
        "counter/sign_in.html",
        "counter/card.html",
        "counter/help.html",
        "counter/second.html",
        "counter/mandate_end.html",
        "console/home.html",
        "console/invitation.html",
        "console/staff_invite.html",
        "account/language.html",
        "account/data.html",
        "account/lock.html",
        "account/locked.html",
        "account/close.html",
        "account/closing.html",
        "account/passkey_add.html",
        "account/passkey_name.html",
        "account/app_add.html",
        "account/app_name.html",
        "account/recovery.html",
        "account/recovery_new.html",
        "account/contact.html",
        "account/password.html",
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
    open_pages = (
        "decoupled/device.html",
        "account/sign_in.html",
        "counter/sign_in.html",
        "console/sign_in.html",
        "oidc/form_post.html",
    )
    if template in open_pages or template.startswith("sandbox/"):
        # Open pages, as a link does: there is no state yet that a forged post could change; the last posts elsewhere.
        # In the sandbox nobody has anything to lose.
        return
    tokens = [field["value"] for field in page.all("input") if field.get("name") in ("csrf", "token")]
    assert tokens == [("t" if template == "decoupled/approvals.html" else "c") * 43] * len(forms)


@pytest.mark.parametrize(
    ("template", "ids"),
    [
        (
            "sso/login.html",
            [
                "login-form",
                "number",
                "password",
                "shared",
                "passkey-shared",
                "login-submit",
                "passkey-form",
                "passkey-submit",
                "signin-cancel",
            ],
        ),
        (
            "sso/totp.html",
            ["totp-form", "code", "totp-submit", "passkey-form", "settle-form", "settle-submit", "signin-cancel"],
        ),
        ("enrolment/person.html", ["person-form", "number", "full_name", "day", "month", "year", "person-submit"]),
        ("enrolment/contact.html", ["contact-form", "contact", "contact-submit", "register-respelled", "enrol-back"]),
        ("enrolment/contact_code.html", ["contact-code-form", "code", "contact-code-submit", "contact-again"]),
        ("enrolment/known.html", ["enrol-login", "signin-cancel"]),
        ("enrolment/waiting.html", ["waiting-reference", "signin-cancel"]),
        ("enrolment/password.html", ["password-form", "password", "repeated", "password-submit", "enrol-back"]),
        ("enrolment/second_factor.html", ["factor-app", "factor-passkey", "factor-later", "enrol-back"]),
        ("enrolment/app.html", ["app-form", "app-qr", "app-secret", "code", "app-submit"]),
        ("enrolment/passkey.html", ["passkey-form", "passkey-submit", "passkey-instead", "enrol-back"]),
        ("enrolment/codes.html", ["recovery-codes", "codes-form", "codes-submit", "enrol-back"]),
        ("sso/consent.html", ["consent-form", "consent-allow", "consent-deny", "signin-cancel"]),
        ("sso/notice.html", ["notice-form", "notice-continue", "signin-cancel"]),
        ("sso/select_account.html", ["account-form", "account-continue", "account-other", "signin-cancel"]),
        ("oidc/logout.html", ["logout-form", "logout-confirm"]),
        ("oidc/signed_out.html", ["signed-out", "signed-out-count", "look-again", "signed-out-back"]),
        ("decoupled/device.html", ["device-form", "user_code", "device-submit"]),
        ("decoupled/confirm.html", ["confirm-form", "confirm-shown", "confirm-continue", "confirm-deny"]),
        ("decoupled/end.html", ["device-approved"]),
        ("decoupled/approvals.html", ["approval-form-1", "approval-open-1"]),
        ("account/disown.html", ["disown-form", "disown-submit", "space-back"]),
        ("account/not_me.html", ["not-me-form", "not-me-submit"]),
        ("account/not_me_done.html", ["disown-reference", "not-me-lock-form", "not-me-lock"]),
        ("account/lock.html", ["lock-form", "lock-submit", "space-back"]),
        ("account/locked.html", ["locked"]),
        ("account/close.html", ["close-when", "close-form", "close-submit"]),
        ("account/closing.html", ["closing-when", "closing-keep"]),
        ("account/rights.html", ["rights-correction", "rights-asked"]),
        ("account/rights_ask.html", ["rights-form", "words", "rights-clock", "rights-submit"]),
        ("account/sign_in.html", ["space-signin-form", "space-signin"]),
        ("account/passkeys.html", ["passkeys-done", "passkey-1", "passkey-name-1", "passkey-remove-1", "passkeys-add"]),
        ("account/passkey_add.html", ["passkey-form", "passkey-submit", "passkey-instead", "label"]),
        ("account/passkey_name.html", ["passkey-name-form", "label", "passkey-name-submit"]),
        ("account/passkey_remove.html", ["passkey-remove-form", "passkey-remove-submit"]),
        (
            "account/home.html",
            ["space-keep-form", "space-keep", "space-number-show", "space-approvals", "space-signout"],
        ),
        (
            "account/history.html",
            [
                "history-range-other",
                "history-filter",
                "history-reported-1",
                "history-not-me-2",
                "history-older",
                "history-newest",
            ],
        ),
        ("account/sessions.html", ["session-form-2", "sessions-end-others", "sessions-end-everywhere"]),
        ("account/agencies.html", ["agency-consent-1", "agency-law-1", "agencies-withdrawn"]),
        ("account/agency.html", ["agency-withdraw-name", "agency-lasting", "agency-withdraw-all"]),
        ("account/language.html", ["language-form-en", "language-en"]),
        ("status.html", ["status-sign-in", "status-register", "status-provider-cut"]),
        ("account/providers.html", ["provider-post", "provider-in-use", "provider-form-bank", "providers-others-form"]),
        ("account/data.html", ["data-file", "data-page"]),
        ("account/number.html", ["space-number", "space-former-1", "space-former-text-2", "space-back"]),
        ("errors/error.html", ["error-code", "error-reference", "error-back"]),
        ("sso/login.html", ["login-counter", "login-assist"]),
        ("counter/code.html", ["at-counter-code", "at-counter-again"]),
        ("counter/confirm.html", ["bind-form", "bind-submit"]),
        ("counter/password.html", ["password-form", "password", "again"]),
        ("counter/codes.html", ["recovery-codes", "codes-form"]),
        ("counter/card.html", ["card-form", "number", "day", "document", "face", "code"]),
        ("counter/visit.html", ["visit-form", "act"]),
        ("counter/mandate.html", ["mandate-form", "any", "days", "purpose"]),
        ("counter/assist.html", ["assist-form", "number", "code"]),
        ("account/mandates.html", ["mandates-done", "mandate-end-1", "mandates-ended", "counter-acts"]),
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
