"""Of a request only what was known before it came is kept: names and values from closed lists, and lengths."""

import base64
import json

import pytest

from idp.core.parameters import Parameters
from idp.inspector.entry import Shown
from idp.inspector.redaction import NAMES, Record, claimed_client, redact

SECRET = "0792010123456789"
RECORD = Record(
    "etax",
    addresses=frozenset({"https://thue.gov.example/dang-nhap"}),
    key_ids=frozenset({"key-2026"}),
    scopes=frozenset({"openid", "hoadon"}),
)


def header(**members: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode() + f".{SECRET}.{SECRET}"


@pytest.mark.parametrize(
    ("name", "sent", "value"),
    [
        ("scope", f"openid hoadon {SECRET}", "openid hoadon [16]"),
        ("response_type", "code", "code"),
        ("response_type", SECRET, "[16]"),
        ("prompt", f"none {SECRET}", "none [16]"),
        ("acr_values", f"LoA2 {SECRET}", "LoA2 [16]"),
        ("client_id", "etax", "etax"),
        ("client_id", SECRET, None),
        ("state", SECRET, None),
        ("code", SECRET, None),
        ("login_hint", SECRET, None),
        ("redirect_uri", "https://thue.gov.example/dang-nhap/", "https://thue.gov.example/dang-nhap/"),
        (
            "redirect_uri",
            f"http://{SECRET}.example:8080/callback?x={SECRET}",
            "http://[16].example:8080/callback +query",
        ),
        ("redirect_uri", f"https://{SECRET}@thue.gov.example/{SECRET}", "https://thue.gov.example/[16] +user"),
        ("redirect_uri", f"https://[{SECRET}/", "[26]"),
        ("request", header(alg="RS256", typ="JWT", kid="key-2026"), "alg=RS256 typ=JWT kid=key-2026"),
        ("client_assertion", header(alg=SECRET, typ=[1], kid=SECRET), "alg=[16] typ=? kid=[16]"),
        ("id_token_hint", SECRET, "no JWT"),
    ],
)
def test_value_is_kept_as_far_as_it_was_known(name: str, sent: str, value: str | None) -> None:
    [shown] = redact(Parameters({name: sent}, frozenset()), RECORD).values()
    assert shown == Shown(len(sent), value)


def test_names_that_nobody_knows_are_counted_and_typing_errors_told() -> None:
    sent = {"redirect_url": "https://x", SECRET: "1", f"x{SECRET}": "2", "state": "abc"}
    assert redact(Parameters(sent, frozenset({"state"})), RECORD) == {
        "?redirect_uri": Shown(9),
        "?": Shown(2),
        "state": Shown(3, is_repeated=True),
    }


def test_only_a_few_strange_names_are_compared() -> None:
    sent = {f"redirect_ur{number}": "x" for number in range(90)}
    kept = redact(Parameters(sent, frozenset()), RECORD)
    assert kept["?"] == Shown(85)


def test_headers_are_kept_by_scheme_and_algorithm() -> None:
    proof = header(alg="ES256", typ="dpop+jwt", jwk={"x": SECRET})
    kept = redact(Parameters({}, frozenset()), None, authorization=f"Basic {SECRET}", proof=proof)
    assert kept["Authorization:"] == Shown(22, "Basic")
    assert kept["DPoP:"].value == "alg=ES256 typ=dpop+jwt"
    assert redact(Parameters({}, frozenset()), None, authorization=SECRET)["Authorization:"].value == "[16]"


def test_no_secret_is_kept_whatever_parameter_it_comes_in() -> None:
    kept = redact(Parameters(dict.fromkeys(sorted(NAMES), SECRET), frozenset()), RECORD)
    assert kept.keys() == NAMES
    assert SECRET not in json.dumps({name: shown.document() for name, shown in kept.items()})


def test_client_is_claimed_by_parameter_or_basic_header() -> None:
    nothing = Parameters({}, frozenset())
    basic = "Basic " + base64.b64encode(b"etax:secret").decode()
    assert claimed_client(Parameters({"client_id": "a"}, frozenset()), basic) == "a"
    assert claimed_client(nothing, basic) == "etax"
    assert [claimed_client(nothing, header) for header in ("Basic \xff", "Bearer x", None)] == [None] * 3
