"""A national register for sandboxes: invented people, and for chosen numbers an answer that is worth trying.

Owns who is known and what is said about them, in the shape and with the names of the Vietnamese population database
(shared vietnam.md, 3). It shares no code with the adapter that asks it, so that neither hides a mistake of the other.
How it travels is in `views`.
"""

import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from idp.citizens.birthdate import BirthDate, Precision
from idp.citizens.numbers import Gender
from idp.core.ids import new_handle
from idp.sandbox.demo_people import DEMO_NEWCOMERS, DEMO_PEOPLE
from idp.sandbox.persona import Standing

SLOW_SECONDS: Final = 10.0
"""Longer than any sign-in waits."""
_GENDERS: Final = {Gender.MALE: "1", Gender.FEMALE: "2", None: "0"}
_SOMEBODY_ELSE: Final = "Phạm Thị Khác"


class Says(StrEnum):
    """What the register answers about a number.

    RECORD: the record, when name and birth date fit, else nobody. TEN_ONLY: the same, the whole name in one part.
    NONE and EMPTY: nobody, without a record and with one whose members are empty. SEVERAL: two records. DIFFERS: the
    record of another name. CODE_004: this procedure may not ask; CODE_005: this officer may not. MALFORMED: no JSON.
    """

    RECORD = "record"
    TEN_ONLY = "ten_only"
    NONE = "none"
    EMPTY = "empty"
    SEVERAL = "several"
    DIFFERS = "differs"
    DECEASED = "deceased"
    LOCKED = "locked"
    REPLACED = "replaced"
    CODE_004 = "004"
    CODE_005 = "005"
    MALFORMED = "malformed"
    SLOW = "slow"
    DOWN = "down"


_STATUSES: Final = {Says.DECEASED: "1", Says.LOCKED: "2", Says.REPLACED: "3"}
_STANDINGS: Final = {
    Standing.CURRENT: Says.RECORD,
    Standing.DECEASED: Says.DECEASED,
    Standing.LOCKED: Says.LOCKED,
    Standing.REPLACED: Says.REPLACED,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One person of the register."""

    number: str
    full_name: str
    birth: BirthDate
    gender: Gender | None = None
    says: Says = Says.RECORD
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What goes back: a status of HTTP, and a document or, for MALFORMED and DOWN, none."""

    status: int
    document: Mapping[str, Any] | None


class Register:
    """The register. Safe to use from several threads.

    `mood` is SLOW or DOWN for all numbers, None when it is well. `asked` counts questions.
    """

    def __init__(self, people: Iterable[Entry] = ()) -> None:
        self._people: dict[str, Entry] = {}
        self._awake = threading.Event()
        self.mood: Says | None = None
        self.slow_seconds = SLOW_SECONDS
        self.asked = 0
        for person in people:
            self.know(person)

    def know(self, person: Entry) -> None:
        """Take a person in, in place of who had the number."""
        self._people[person.number] = person

    def script(self, number: str, says: Says, *, replaced_by: str | None = None) -> None:
        """Answer so about a number from now on. Raises KeyError for a number nobody has."""
        self._people[number] = replace(self._people[number], says=says, replaced_by=replaced_by)

    def wake(self) -> None:
        """Let every slow answer go at once, and be slow no more."""
        self._awake.set()

    def answer(self, question: Mapping[str, Any]) -> Told:
        """Answer one question; SLOW waits first."""
        self.asked += 1
        number = question.get("SoDinhDanh")
        person = self._people.get(number) if isinstance(number, str) else None
        says = self.mood or (person.says if person else Says.NONE)
        if says is Says.SLOW:
            self._awake.wait(self.slow_seconds)
            says = Says.RECORD if person else Says.NONE
        if says is Says.DOWN:
            return Told(503, None)
        if says is Says.MALFORMED:
            return Told(200, None)
        if says in (Says.CODE_004, Says.CODE_005):
            return _told([], code=says.value)
        if says is Says.EMPTY:
            return _told({"SoDinhDanh": "", "HoVaTen": {"Ho": "", "ChuDem": "", "Ten": ""}, "NgayThangNamSinh": {}})
        if says is Says.NONE or person is None:
            return _told([])
        if says is Says.SEVERAL:
            return _told([_record(person), _record(person)])
        if says is Says.DIFFERS:
            return _told(_record(replace(person, full_name=_SOMEBODY_ELSE)))
        return _told(_record(person) if _fits(question, person) else [])


def demo_register() -> Register:
    """Return a register of the demo's people, with one more for each answer that none of them gets."""
    register = Register()
    for persona in DEMO_PEOPLE:
        person = Entry(persona.number, persona.full_name, persona.birthdate, persona.gender)
        register.know(replace(person, says=_STANDINGS[persona.standing], replaced_by=persona.replaced_by))
        if persona.replaced_by is not None:
            register.know(replace(person, number=persona.replaced_by))
    for newcomer in DEMO_NEWCOMERS:
        register.know(Entry(newcomer.number, newcomer.full_name, newcomer.birth, newcomer.gender))
    for person in scripted_people():
        register.know(person)
    return register


def scripted_people() -> tuple[Entry, ...]:
    """Return a person for each answer that nobody of the demo gets: same name and birth date, numbers in a row."""
    taken = {Says.RECORD, Says.NONE, *_STANDINGS.values()}
    rest = (says for says in Says if says not in taken)
    return tuple(
        Entry(f"979190{201 + place:06d}", "Nguyễn Thị Thử", BirthDate(1990, 5, 19), Gender.FEMALE, says)
        for place, says in enumerate(rest)
    )


def _told(records: object, *, code: str = "000") -> Told:
    return Told(200, {"MaLoi": code, "MaTraLoi": new_handle(), "CongdanCollection": {"CongDan": records}})


def _record(person: Entry) -> dict[str, Any]:
    words = person.full_name.split()
    parts = ("", "", person.full_name)
    if person.says is not Says.TEN_ONLY and len(words) > 1:
        parts = (words[0], " ".join(words[1:-1]), words[-1])
    return {
        "SoDinhDanh": person.number,
        "HoVaTen": dict(zip(("Ho", "ChuDem", "Ten"), parts, strict=True)),
        "GioiTinh": _GENDERS[person.gender],
        # More than anybody asked for, as the real one sends it; nothing of it may ever be found in our database.
        "DanToc": "01",
        "TonGiao": "00",
        "NhomMau": "04",
        "NgayThangNamSinh": _birth(person.birth),
        "TrangThai": _STATUSES.get(person.says, "0"),
        "SoDinhDanhMoi": person.replaced_by if person.says is Says.REPLACED else None,
    }


def _birth(birth: BirthDate) -> dict[str, str]:
    if birth.precision is Precision.YEAR:
        return {"Nam": f"{birth.year:04d}"}
    return {"NgayThangNam": f"{birth.year:04d}{birth.month:02d}{birth.day or 0:02d}"}


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFD", name.replace("đ", "d").replace("Đ", "D"))
    return "".join(sign for sign in plain if sign.isascii() and sign.isalpha()).upper()


def _fits(question: Mapping[str, Any], person: Entry) -> bool:
    asked = question.get("NgayThangNamSinh")
    if question.get("HoVaTen") != _folded(person.full_name) or not isinstance(asked, dict):
        return False
    digits = asked.get("NgayThangNam") or asked.get("Nam") or ""
    known = person.birth
    parts = ((digits[:4], known.year, 4), (digits[4:6], known.month, 2), (digits[6:8], known.day, 2))
    return bool(digits) and all(
        not text or value is None or text == f"{value:0{width}d}" for text, value, width in parts
    )
