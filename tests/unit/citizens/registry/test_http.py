"""The register asked over HTTP: the port's suite against the simulator, and what strangers may send."""

import gzip
import json
import logging
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.citizens.birthdate import BirthDate, parse
from idp.citizens.registry import (
    Attribute,
    FieldMatch,
    Malformed,
    NotAuthorised,
    Outcome,
    PopulationRegistry,
    Reason,
    RegistryFailure,
    RegistryRefused,
    Timeout,
    Unavailable,
    registry,
)
from idp.citizens.registry.breaker import PATIENCE
from idp.citizens.registry.http import LONGEST_ANSWER, MOST_AT_ONCE, HttpRegistry
from idp.citizens.registry.mapping import NATIONAL, read_field_names, read_record, read_reply, write_question
from idp.citizens.registry.table import Answer
from idp.core import keyring as keyrings
from idp.core.keyring import Keyring
from idp.core.settings import Settings
from idp.sandbox.register import Entry, Register, Says
from tests.register import Script, Simulator, scripted, simulated
from tests.unit.citizens.registry.contract import ALIVE, PEOPLE, RegistryContract, query
from tests.unit.core.test_outbound import authority

_SAYS = {
    Answer.MATCH: Says.RECORD,
    Answer.DECEASED: Says.DECEASED,
    Answer.LOCKED: Says.LOCKED,
    Answer.SILENT: Says.SLOW,
    Answer.REPLACED: Says.REPLACED,
}
NAMES = read_field_names(NATIONAL)
RECORD = {
    "SoDinhDanh": ALIVE.number,
    "HoVaTen": {"Ho": "Nguyễn", "ChuDem": "Thị", "Ten": "Hoà"},
    "NgayThangNamSinh": {"NgayThangNam": "19910228"},
}


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    keyrings.create(tmp_path / "secrets")
    return keyrings.load(tmp_path / "secrets", is_production=False)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    people = [
        Entry(each.number, each.full_name, each.birth, each.gender, _SAYS[each.answer], each.replaced_by)
        for each in PEOPLE
    ]
    with simulated(Register(people)) as running:
        yield running


@pytest.fixture
def stranger() -> Iterator[Script]:
    with scripted() as running:
        yield running


def asking(url: str, keyring: Keyring, tmp_path: Path, **changes: Any) -> PopulationRegistry:
    values = {"registry": "http", "registry_url": url, "secrets_dir": tmp_path / "secrets", **changes}
    return registry(Settings(**values), keyring=keyring)


@pytest.fixture
def register(simulator: Simulator, keyring: Keyring, tmp_path: Path) -> PopulationRegistry:
    return asking(simulator.url, keyring, tmp_path)


@pytest.fixture
def strange(stranger: Script, keyring: Keyring, tmp_path: Path) -> PopulationRegistry:
    return asking(stranger.url, keyring, tmp_path)


class TestHttp(RegistryContract):
    """The port's suite on the simulator, over a real socket."""

    @pytest.fixture
    def register(self, simulator: Simulator, keyring: Keyring, tmp_path: Path) -> PopulationRegistry:
        return asking(simulator.url, keyring, tmp_path)


# --- What the register says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        (Says.RECORD, Outcome.MATCH),
        (Says.TEN_ONLY, Outcome.MATCH),
        (Says.NONE, Outcome.NOT_FOUND),
        (Says.EMPTY, Outcome.NOT_FOUND),
        (Says.SEVERAL, Outcome.AMBIGUOUS),
        (Says.DIFFERS, Outcome.NEAR),
        (Says.DECEASED, Outcome.DECEASED),
        (Says.LOCKED, Outcome.LOCKED),
        (Says.REPLACED, Outcome.REPLACED),
    ],
)
def test_every_answer_becomes_an_outcome_of_the_port(
    simulator: Simulator, register: PopulationRegistry, says: Says, outcome: Outcome
) -> None:
    simulator.register.script(ALIVE.number, says, replaced_by="979191000099" if says is Says.REPLACED else None)
    answer = register.check(query(ALIVE), deadline=5)
    assert (answer.outcome, answer.replaced_by) == (outcome, "979191000099" if says is Says.REPLACED else None)


@pytest.mark.parametrize(
    ("says", "failure"),
    [
        (Says.CODE_004, NotAuthorised),
        (Says.CODE_005, NotAuthorised),
        (Says.MALFORMED, Malformed),
        (Says.SLOW, Timeout),
        (Says.DOWN, Unavailable),
    ],
)
def test_every_silence_becomes_a_failure_of_the_port(
    simulator: Simulator, register: PopulationRegistry, says: Says, failure: type[RegistryFailure]
) -> None:
    simulator.register.script(ALIVE.number, says)
    began = time.monotonic()
    with pytest.raises(failure):
        register.check(query(ALIVE), deadline=0.5)
    assert time.monotonic() - began < 2


def test_which_field_differs_is_said_to_us_alone(simulator: Simulator, register: PopulationRegistry) -> None:
    simulator.register.script(ALIVE.number, Says.DIFFERS)
    answer = register.check(query(ALIVE), deadline=5)
    assert answer.fields == {"name": FieldMatch.MISMATCH, "birth": FieldMatch.MATCH}
    assert not answer.attributes


@pytest.mark.parametrize("birth", ["1945", "1945-09", "1945-09-02"])
@pytest.mark.parametrize("name", ["K'Brếu", "H' Linh Byă", "Đỗ Thị Thu Hà"])
def test_a_person_matches_whatever_is_known_of_the_birth_date_and_name(
    simulator: Simulator, register: PopulationRegistry, birth: str, name: str
) -> None:
    simulator.register.know(Entry(ALIVE.number, name, parse(birth)))
    answer = register.check(query(ALIVE, full_name=name, birth=parse(birth)), deadline=5)
    assert (answer.outcome, answer.attributes) == (
        Outcome.MATCH,
        {Attribute.FULL_NAME: name, Attribute.BIRTHDATE: birth},
    )


def test_nothing_more_than_was_agreed_is_kept(stranger: Script, strange: PopulationRegistry) -> None:
    more = {**RECORD, "TonGiao": "00", "NhomMau": "04", "VoChong": {"HoVaTen": {"Ten": "Ai"}}}
    stranger.body = json.dumps({"CongdanCollection": {"CongDan": [more]}}).encode()
    answer = strange.check(query(ALIVE), deadline=5)
    assert answer.attributes == {Attribute.FULL_NAME: "Nguyễn Thị Hoà", Attribute.BIRTHDATE: "1991-02-28"}


def test_another_name_of_the_person_goes_to_an_officer(stranger: Script, strange: PopulationRegistry) -> None:
    stranger.body = json.dumps({"CongdanCollection": {"CongDan": {**RECORD, "TenGoiKhac": "Nguyễn Hoa"}}}).encode()
    assert strange.check(query(ALIVE, full_name="Nguyễn Hoa"), deadline=5).outcome is Outcome.NAME_VARIANT
    assert strange.check(query(ALIVE, full_name="Nguyễn Mai"), deadline=5).outcome is Outcome.NEAR
    other = query(ALIVE, full_name="Nguyễn Hoa", birth=BirthDate(1990))
    assert strange.check(other, deadline=5).outcome is Outcome.NEAR


# --- What is asked ------------------------------------------------------------------------------------------------


def test_the_question_has_the_national_names_and_nothing_else() -> None:
    asked = query(ALIVE, request_id="once", reason=Reason.ENROLMENT)
    assert write_question(asked, NAMES) == {
        "SoDinhDanh": "979191000001",
        "HoVaTen": "NGUYENTHIHOA",
        "NgayThangNamSinh": {"NgayThangNam": "19910228"},
        "MaYeuCau": "once",
        "MaDVC": "LIENKET-DANGKY",
        "MaTichHop": "037",
        "MaCanBo": "LIENKET",
    }
    assert write_question(query(ALIVE, birth=BirthDate(1945)), NAMES)["NgayThangNamSinh"] == {"Nam": "1945"}
    assert write_question(query(ALIVE, birth=BirthDate(1945, 9)), NAMES)["NgayThangNamSinh"] == {
        "NgayThangNam": "194509"
    }


def test_a_register_with_other_names_is_asked_by_a_mapping(stranger: Script, keyring: Keyring, tmp_path: Path) -> None:
    names = {
        "schemes": ["stdnum:fi.hetu"],
        "name_form": "plain",
        "date_form": "day_first",
        "question": {"number": "person.id", "full_name": "person.name", "birth": "person.born", "request_id": "id"},
        "answer": {
            "people": "persons",
            "number": "id",
            "full_name": ["name"],
            "birth": ["born"],
            "error": "problem.code",
            "errors": {"7": "not_found", "8": "bad_request", "": "none"},
        },
    }
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps(names), "utf-8")
    register = asking(stranger.url, keyring, tmp_path, registry_mapping=mapping)
    stranger.body = json.dumps({"persons": [{"id": "131052-308T", "name": "Aino Virtanen", "born": "1952"}]}).encode()
    asked = query(
        ALIVE, scheme="stdnum:fi.hetu", number="131052-308T", full_name="Aino Virtanen", birth=BirthDate(1952)
    )
    assert register.check(asked, deadline=5).outcome is Outcome.MATCH
    assert json.loads(stranger.bodies[0]) == {
        "id": "test",
        "person": {"id": "131052-308T", "name": "Aino Virtanen", "born": "1952"},
    }
    assert register.check(query(ALIVE), deadline=5).outcome is Outcome.NOT_FOUND
    assert len(stranger.bodies) == 1
    for code, outcome in ((7, Outcome.NOT_FOUND), ("8", Outcome.BAD_REQUEST)):
        stranger.body = json.dumps({"problem": {"code": code}}).encode()
        assert register.check(asked, deadline=5).outcome is outcome


# --- What a stranger may send -------------------------------------------------------------------------------------


def people(*records: Any) -> bytes:
    return json.dumps({"CongdanCollection": {"CongDan": records}}).encode()


HOSTILE = {
    "nothing": b"",
    "html": b"<html><title>502</title></html>",
    "no object": b"[]",
    "a word": b'"CongDan"',
    "no place": b"{}",
    "a place that is none": b'{"CongdanCollection": []}',
    "a place without people": b'{"CongdanCollection": {}}',
    "people that are none": people("nguyen"),
    "a number": people(7),
    "a member twice": b'{"CongdanCollection": {"CongDan": []}, "CongdanCollection": {"CongDan": []}}',
    "deep": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "not utf-8": b'{"CongdanCollection": {"CongDan": "\xff"}}',
    "a great number": b'{"MaLoi": ' + b"9" * 6_000 + b"}",
    "no number": people({**RECORD, "SoDinhDanh": None}),
    "another person's number": people({**RECORD, "SoDinhDanh": "979191000002"}),
    "a number as a number": people({**RECORD, "SoDinhDanh": 979191000001}),
    "no name": people({**RECORD, "HoVaTen": {}}),
    "a name of signs": people({**RECORD, "HoVaTen": {"Ten": "<script>"}}),
    "a name of half characters": people({**RECORD, "HoVaTen": {"Ten": "\ud83d"}}),
    "a name that is a list": people({**RECORD, "HoVaTen": ["Nguyễn"]}),
    "a long name": people({**RECORD, "HoVaTen": {"Ten": "A" * 401}}),
    "no birth date": people({**RECORD, "NgayThangNamSinh": {}}),
    "a birth date that never was": people({**RECORD, "NgayThangNamSinh": {"NgayThangNam": "19910230"}}),
    "a birth date of another form": people({**RECORD, "NgayThangNamSinh": {"NgayThangNam": "28/02/1991"}}),
    "a status nobody agreed on": people({**RECORD, "TrangThai": "9"}),
    "a status that is true": people({**RECORD, "TrangThai": True}),
    "a new number that is a list": people({**RECORD, "TrangThai": "3", "SoDinhDanhMoi": ["1"]}),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_an_answer_that_is_none_is_a_silence_and_tells_the_log_nothing(
    stranger: Script, strange: PopulationRegistry, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    stranger.body = body
    with pytest.raises(Malformed) as malformed:
        strange.check(query(ALIVE), deadline=5)
    assert malformed.value.__cause__ is None
    [line] = caplog.records
    assert (line.levelno, line.outcome) == (logging.WARNING, "Malformed")  # type: ignore[attr-defined]
    for value in (ALIVE.number, "Nguyễn", "Hoà", "1991", "NGUYENTHIHOA"):
        assert value not in str(vars(line))


@pytest.mark.parametrize(
    ("status", "headers", "failure"),
    [
        (200, {"Content-Type": "text/html"}, Malformed),
        (200, {}, Malformed),
        (200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, Malformed),
        (204, {"Content-Type": "application/json"}, Malformed),
        (302, {"Content-Type": "application/json", "Location": "http://127.0.0.1:1/"}, Malformed),
        (404, {"Content-Type": "application/json"}, Malformed),
        (401, {"Content-Type": "application/json"}, NotAuthorised),
        (403, {"Content-Type": "text/html"}, NotAuthorised),
        (408, {"Content-Type": "text/html"}, Timeout),
        (504, {"Content-Type": "text/html"}, Timeout),
        (429, {"Content-Type": "text/html"}, Unavailable),
        (500, {"Content-Type": "application/json"}, Unavailable),
        (503, {"Content-Type": "text/html"}, Unavailable),
    ],
)
def test_no_other_way_of_answering_says_anything_about_a_person(
    stranger: Script,
    strange: PopulationRegistry,
    status: int,
    headers: dict[str, str],
    failure: type[RegistryFailure],
) -> None:
    stranger.status, stranger.headers = status, headers
    stranger.body = gzip.compress(people(RECORD)) if "Content-Encoding" in headers else people(RECORD)
    if status == 204:
        stranger.body = b""
    with pytest.raises(failure):
        strange.check(query(ALIVE), deadline=5)


@pytest.mark.parametrize("status", [400, 422])
def test_a_question_that_is_refused_says_nothing_about_a_person(
    stranger: Script, strange: PopulationRegistry, status: int
) -> None:
    stranger.status = status
    assert strange.check(query(ALIVE), deadline=5).outcome is Outcome.BAD_REQUEST


def test_a_code_that_nobody_agreed_on_is_a_silence(stranger: Script, strange: PopulationRegistry) -> None:
    stranger.body = json.dumps({"MaLoi": "099", "CongdanCollection": {"CongDan": []}}).encode()
    with pytest.raises(Unavailable):
        strange.check(query(ALIVE), deadline=5)


def test_a_huge_answer_is_not_read(stranger: Script, strange: PopulationRegistry) -> None:
    stranger.body = people(RECORD) + b" " * LONGEST_ANSWER
    with pytest.raises(Malformed):
        strange.check(query(ALIVE), deadline=5)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(RECORD)), inner, max_size=3),
    max_leaves=8,
)


@given(record=st.fixed_dictionaries({name: VALUES | st.just(RECORD[name]) for name in RECORD}), code=VALUES)
def test_any_json_is_read_or_malformed(record: dict[str, Any], code: Any) -> None:
    body = json.dumps({"MaLoi": code, "MaTraLoi": code, "CongdanCollection": {"CongDan": record}}).encode()
    try:
        for found in read_reply(body, NAMES).records:
            assert read_record(found, query(ALIVE), NAMES).full_name
    except Malformed:
        pass


# --- Being down and being asked by many ---------------------------------------------------------------------------


def test_nobody_is_there(keyring: Keyring, tmp_path: Path) -> None:
    with scripted() as gone:
        url = gone.url
    with pytest.raises(Unavailable):
        asking(url, keyring, tmp_path).check(query(ALIVE), deadline=5)


def test_a_dead_register_costs_nothing_once_it_is_known_to_be_dead(
    simulator: Simulator, register: PopulationRegistry
) -> None:
    simulator.register.mood = Says.DOWN
    for _ in range(PATIENCE):
        with pytest.raises(Unavailable):
            register.check(query(ALIVE), deadline=5)
    asked = simulator.register.asked
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Unavailable):
            register.check(query(ALIVE), deadline=5)
    assert simulator.register.asked == asked
    assert time.monotonic() - began < 0.5


def test_a_slow_register_holds_only_so_many_threads(simulator: Simulator, register: PopulationRegistry) -> None:
    simulator.register.mood = Says.SLOW
    answers: list[Outcome] = []

    def ask() -> None:
        answers.append(register.check(query(ALIVE), deadline=20).outcome)

    threads = [threading.Thread(target=ask) for _ in range(MOST_AT_ONCE)]
    for thread in threads:
        thread.start()
    waited = time.monotonic()
    while simulator.register.asked < MOST_AT_ONCE and time.monotonic() - waited < 10:
        time.sleep(0.01)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        register.check(query(ALIVE), deadline=20)
    assert time.monotonic() - began < 0.5
    simulator.register.wake()
    for thread in threads:
        thread.join()
    assert answers == [Outcome.MATCH] * MOST_AT_ONCE
    simulator.register.mood = None
    assert register.check(query(ALIVE), deadline=5).outcome is Outcome.MATCH


# --- Being known, and settings ------------------------------------------------------------------------------------


def test_the_token_is_brought_when_the_register_wants_one(
    simulator: Simulator, keyring: Keyring, tmp_path: Path
) -> None:
    (tmp_path / "secrets" / "registry.token").write_text("abc.def-ghi\n", "ascii")
    with simulated(simulator.register, token="abc.def-ghi") as guarded:
        known = asking(guarded.url, keyring, tmp_path, registry_authentication="bearer")
        assert known.check(query(ALIVE), deadline=5).outcome is Outcome.MATCH
        with pytest.raises(NotAuthorised):
            asking(guarded.url, keyring, tmp_path).check(query(ALIVE), deadline=5)


def test_a_register_with_tls_is_asked_with_our_certificate(
    simulator: Simulator, keyring: Keyring, tmp_path: Path
) -> None:
    ca_file, context = authority(tmp_path, "localhost")
    ours, _ = authority(tmp_path, "lienket.example")
    context.verify_mode = context.verify_mode.CERT_REQUIRED
    context.load_verify_locations(ours)
    (tmp_path / "secrets" / "registry.pem").write_bytes(ours.with_suffix(".key").read_bytes())
    with simulated(simulator.register, tls=context) as guarded:
        url = guarded.url.replace("127.0.0.1", "localhost")
        known = asking(url, keyring, tmp_path, registry_authentication="mtls", registry_ca_file=ca_file)
        assert known.check(query(ALIVE), deadline=5).outcome is Outcome.MATCH
        for changes in ({"registry_ca_file": ca_file}, {"registry_authentication": "mtls"}):
            with pytest.raises((Unavailable, Malformed)):
                asking(url, keyring, tmp_path, **changes).check(query(ALIVE), deadline=5)


@pytest.mark.parametrize("content", [None, "", "two words", "đường", "a\nb", "x" * 5_000])
def test_a_token_that_is_none_stops_the_start(keyring: Keyring, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "secrets" / "registry.token").write_text(content, "utf-8")
    with pytest.raises(RegistryRefused, match=r"registry\.token"):
        asking("http://127.0.0.1:1/", keyring, tmp_path, registry_authentication="bearer")


def test_a_certificate_that_is_none_stops_the_start(keyring: Keyring, tmp_path: Path) -> None:
    for content in (None, "no certificate"):
        if content is not None:
            (tmp_path / "secrets" / "registry.pem").write_text(content)
        with pytest.raises(RegistryRefused, match=r"registry\.pem"):
            asking("http://127.0.0.1:1/", keyring, tmp_path, registry_authentication="mtls")


def test_production_refuses_a_token_that_others_can_read(keyring: Keyring, tmp_path: Path) -> None:
    token = tmp_path / "secrets" / "registry.token"
    token.write_text("abc")
    production = {"profile": "production", "issuer": "https://id.example", "registry_authentication": "bearer"}
    token.chmod(0o640)
    with pytest.raises(RegistryRefused, match="chmod 600"):
        asking("https://10.0.0.1/", keyring, tmp_path, **production)
    token.chmod(0o600)
    asking("https://10.0.0.1/", keyring, tmp_path, **production)


def test_only_the_registers_own_host_may_stand_in_a_private_network(keyring: Keyring, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "registry.token").write_text("abc")
    (tmp_path / "secrets" / "registry.token").chmod(0o600)
    production = {"profile": "production", "issuer": "https://id.example", "registry_authentication": "bearer"}
    register = asking("https://dan-cu.noibo/tra-cuu", keyring, tmp_path, **production)
    assert isinstance(register, HttpRegistry)

    def may_ask(address: str, host: str, *, is_plain: bool = False) -> bool:
        return register._outbound._may_ask(ip_address(address), host, is_plain=is_plain)

    assert may_ask("10.1.2.3", "dan-cu.noibo")
    assert not may_ask("10.1.2.3", "dan-cu.noibo", is_plain=True)
    assert not any(may_ask(address, "dan-cu.noibo") for address in ("127.0.0.1", "169.254.169.254"))
    assert not may_ask("10.1.2.3", "rp.example")


def changed(**question: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(NATIONAL.read_text("utf-8"))
    return {**whole, "question": {**whole["question"], **question}}


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        ("{", "file"),
        ([], "file"),
        ({}, "schemes"),
        (changed(nmuber="x"), "nmuber"),
        (changed(number="a..b"), "question.number"),
        (changed(number="HoVaTen"), "HoVaTen is the place of two members"),
        (changed(number="HoVaTen.So"), "HoVaTen is the place of two members"),
        ({**changed(), "schemes": ["vn-pim"]}, "schemes"),
        ({**changed(), "date_form": "american"}, "date_form"),
    ],
)
def test_a_mapping_with_a_mistake_stops_the_start_and_is_named(
    keyring: Keyring, tmp_path: Path, mapping: Any, named: str
) -> None:
    file = tmp_path / "mapping.json"
    file.write_text(mapping if isinstance(mapping, str) else json.dumps(mapping), "utf-8")
    with pytest.raises(RegistryRefused) as refused:
        asking("http://127.0.0.1:1/", keyring, tmp_path, registry_mapping=file)
    assert str(refused.value).startswith(str(file))
    assert named in str(refused.value)
