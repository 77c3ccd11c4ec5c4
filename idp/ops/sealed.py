"""How many stored values still need each key of the keyring: what has to be nothing before a key may go.

Sealed values are found by their form, in every text column there is, so that no table can be forgotten here. Counted
in slices by row key: none holds a lock or runs into a time limit, and what is written meanwhile may be missed, which
is why a key is retired only once every process has read the one that writes now.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from idp.citizens.credentials.hashing import pepper_of
from idp.citizens.models import PasswordCredential, RecoveryCode
from idp.core.database import Model, db
from idp.core.keyring import Purpose, key_id_of
from idp.keys.models import SigningKey
from idp.ops import housekeeping

SLICE: Final = 5_000
COUNTED: Final = (Purpose.DATA, Purpose.SIGNING, Purpose.NUMBER_INDEX, Purpose.PEPPER)
_LONGEST_HEAD: Final = 64
# Beside every keyed index of a number.
_INDEX_KEY: Final = "index_key_id"
_EXPIRING: Final = frozenset(name for name, _, _ in housekeeping.expiring())
Counts = Mapping[Purpose, Mapping[str, Mapping[str, int]]]


def needed() -> Counts:
    """Return purpose -> key id -> place (`table.column`) -> number of stored values that this key made."""
    found: dict[Purpose, dict[str, Counter[str]]] = {purpose: {} for purpose in COUNTED}
    for purpose, key_id, place in _made():
        if key_id is not None:
            found[purpose].setdefault(key_id, Counter())[place] += 1
    return found


def _made() -> Iterator[tuple[Purpose, str | None, str]]:
    """Yield purpose, key id (None for none) and place of every stored value that a key may have made."""
    for table, column in sealed_columns():
        purpose = purpose_of(table)
        for value in _values(table, sa.func.substr(column, 1, _LONGEST_HEAD)):
            yield purpose, key_id_of(value or ""), f"{table.name}.{column.name}"
    for table in Model.metadata.sorted_tables:
        if _INDEX_KEY in table.c:
            for value in _values(table, table.c[_INDEX_KEY]):
                yield Purpose.NUMBER_INDEX, value, f"{table.name}.number_index"
    table = Model.metadata.tables[PasswordCredential.__tablename__]
    for value in _values(table, table.c.hash):
        yield Purpose.PEPPER, pepper_of(value), f"{table.name}.hash"
    # A sheet in a drawer outlives a rotation: until its owner makes another one, its pepper stays.
    table = Model.metadata.tables[RecoveryCode.__tablename__]
    for value in _values(table, table.c.key_id):
        yield Purpose.PEPPER, value, f"{table.name}.digest"


def _values(table: sa.Table, column: Any) -> Iterator[Any]:
    for rows in slices(table, column):
        yield from (row[-1] for row in rows)


def sealed_columns() -> Iterator[tuple[sa.Table, sa.Column[Any]]]:
    """Yield every column that can hold a sealed value: those of text without a length."""
    for table in Model.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, sa.Text) and not column.primary_key:
                yield table, column


def purpose_of(table: sa.Table) -> Purpose:
    """Return whose keys seal the values of `table`."""
    return Purpose.SIGNING if table.name == SigningKey.__tablename__ else Purpose.DATA


def expires(place: str) -> bool:
    """Tell whether values at `table.column` go by themselves."""
    return place.partition(".")[0] in _EXPIRING


def slices(table: sa.Table, *columns: Any, size: int = SLICE, joined: Any = None) -> Iterator[Sequence[Any]]:
    """Yield the rows of `table`, its row key first and then `columns`, in slices of a transaction each."""
    keys = list(table.primary_key.columns)
    position = keys[0] if len(keys) == 1 else sa.tuple_(*keys)
    chosen = sa.select(*keys, *columns).order_by(*keys).limit(size)
    if joined is not None:
        chosen = chosen.select_from(joined)
    after: Any = None
    while True:
        rows = db.session.execute(chosen if after is None else chosen.where(position > after)).all()
        db.session.rollback()
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = tuple(rows[-1][: len(keys)])
        after = last[0] if len(keys) == 1 else last
