"""Reading a record beside a question: what every adapter answers once it has the record in hand.

Owns the order of judgement: name and birth date first, and the fate of the record only for who is known by both, so
that nobody learns of a death, a lock or a new number by trying names.
"""

from dataclasses import dataclass, field

from idp.citizens.birthdate import BirthDate
from idp.citizens.names import NameMatch, same_name
from idp.citizens.registry import Attribute, FieldMatch, Outcome, RegistryAnswer, RegistryQuery
from idp.core import clock

_NAME_FIELDS = {
    NameMatch.EXACT: FieldMatch.MATCH,
    NameMatch.FOLD: FieldMatch.FOLD,
    NameMatch.DIFFERENT: FieldMatch.MISMATCH,
}


@dataclass(frozen=True, slots=True)
class Known:
    """What a register holds under the number asked for.

    `fate` is DECEASED, LOCKED or REPLACED, None for a living record. `other_name` is a name beside the birth name.
    """

    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)
    fate: Outcome | None = None
    replaced_by: str | None = field(default=None, repr=False)
    other_name: str | None = field(default=None, repr=False)


def compare(query: RegistryQuery, known: Known, *, source: str, trace_id: str) -> RegistryAnswer:
    """Return the answer to `query` of a register that holds `known`."""
    name = _NAME_FIELDS[same_name(query.full_name, known.full_name)]
    birth = _compare_births(query.birth, known.birth)
    fields = {"name": name, "birth": birth}
    attributes: dict[Attribute, str] = {}
    if FieldMatch.MISMATCH in (name, birth):
        outcome = Outcome.NAME_VARIANT if _is_other_name(query, known, birth) else Outcome.NEAR
    else:
        is_rectified = FieldMatch.FOLD in (name, birth)
        outcome = known.fate or (Outcome.MATCH_RECTIFIED if is_rectified else Outcome.MATCH)
        held = {Attribute.FULL_NAME: known.full_name, Attribute.BIRTHDATE: known.birth.iso()}
        attributes = {attribute: value for attribute, value in held.items() if attribute in query.want}
    return RegistryAnswer(
        outcome=outcome,
        fields=fields,
        source=source,
        as_of=clock.now(),
        trace_id=trace_id,
        replaced_by=known.replaced_by if outcome is Outcome.REPLACED else None,
        attributes=attributes,
    )


def without_record(outcome: Outcome, *, source: str, trace_id: str) -> RegistryAnswer:
    """Return an answer with nothing to compare: NOT_FOUND, AMBIGUOUS or BAD_REQUEST."""
    fields = {"name": FieldMatch.UNKNOWN, "birth": FieldMatch.UNKNOWN}
    return RegistryAnswer(outcome, fields, source, clock.now(), trace_id)


def _compare_births(asked: BirthDate, known: BirthDate) -> FieldMatch:
    if not asked.agrees_with(known):
        return FieldMatch.MISMATCH
    return FieldMatch.MATCH if asked == known else FieldMatch.FOLD


def _is_other_name(query: RegistryQuery, known: Known, birth: FieldMatch) -> bool:
    if birth is FieldMatch.MISMATCH or known.other_name is None:
        return False
    return same_name(query.full_name, known.other_name) is not NameMatch.DIFFERENT
