"""The forms of the counter: read once into values, with the errors a person can mend."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from idp.citizens import birthdate
from idp.citizens.birthdate import BirthDate, BirthDateRefused
from idp.citizens.pairing import Document
from idp.sso.forms import LONGEST_NUMBER, FieldError, field_error

LONGEST_NAME = 200
LONGEST_CODE = 40
DOCUMENTS = tuple(Document)


def document_of(posted: Mapping[str, str]) -> Document | None:
    """Return which paper was seen, None for none."""
    given = posted.get("document", "")
    return Document(given) if given in {each.value for each in Document} else None


@dataclass(frozen=True, slots=True)
class CardForm:
    """What an officer reads on a card, saw with their eyes, and was shown as a code; `repr` shows none of it."""

    number: str = field(default="", repr=False)
    full_name: str = field(default="", repr=False)
    day: str = field(default="", repr=False)
    month: str = field(default="", repr=False)
    year: str = field(default="", repr=False)
    document: str = ""
    is_face_compared: bool = False
    code: str = field(default="", repr=False)

    @classmethod
    def read(cls, posted: Mapping[str, str]) -> "CardForm":
        """Return the form from the posted parameters."""
        names = ("number", "full_name", "day", "month", "year", "document")
        texts = {name: posted.get(name, "").strip()[:LONGEST_NAME] for name in names}
        return cls(
            **texts, is_face_compared=posted.get("face") == "yes", code=posted.get("code", "").strip()[:LONGEST_CODE]
        )

    @property
    def birth(self) -> BirthDate:
        """Return the birth date; two zeros on a card stand for a day or month that nobody knows.

        Raises BirthDateRefused.
        """
        day, month = ("unknown" if not part.strip("0") else part for part in (self.day, self.month))
        return birthdate.from_parts(day=day, month=month, year=self.year)

    def problems(self) -> list[FieldError]:
        """Return what is missing or cannot be meant."""
        found = []
        if not self.number or len(self.number) > LONGEST_NUMBER:
            found.append(field_error("number", "counter.error.number"))
        if not self.full_name:
            found.append(field_error("full_name", "counter.error.full-name"))
        try:
            _ = self.birth
        except BirthDateRefused:
            found.append(field_error("day", "counter.error.birth"))
        return found + look_problems(self.document, is_face_compared=self.is_face_compared)


def look_problems(document: str, *, is_face_compared: bool) -> list[FieldError]:
    """Return what of the look at paper and face was not ticked."""
    found = []
    if document not in {each.value for each in Document}:
        found.append(field_error("document", "counter.error.document"))
    if not is_face_compared:
        found.append(field_error("face", "counter.error.face"))
    return found
