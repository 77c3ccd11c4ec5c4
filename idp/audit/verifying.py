"""Verifying: what was sealed is compared with what is there, and every difference is named by its sequence number.

Two comparisons. Each event with the leaf at its number: whoever changes, removes or moves one leaves a hash that does
not fit. All leaves with the signed checkpoints: whoever changes leaves as well cannot sign, and checkpoints that were
kept elsewhere are out of reach of whoever can write to the database. Where only the second one fails, the change is
named as narrowly as checkpoints and kept nodes allow.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit import leaves, merkle, tree
from idp.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditNode, AuditSealer
from idp.audit.notes import Checkpoint, NoteRefused, Verifier, opened
from idp.core.database import Json

SLICE: Final = 2_000
_MOST_MOVED: Final = 200
_LEAF = AuditLeaf.__table__
_EVENT = leaves.EVENT


class Fault(StrEnum):
    """What can be wrong. A range ends before its second number."""

    EDITED = "edited"
    DELETED = "deleted"
    MOVED = "moved"
    INSERTED = "inserted"
    LEAF_DELETED = "leaf deleted"
    LEAVES_CHANGED = "leaves changed"
    TRUNCATED = "truncated"
    FORKED = "forked"
    UNSIGNED = "checkpoint not signed by a trusted key"
    NODE_CHANGED = "node changed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: the number it begins at, and before which it ends where it is not one event."""

    fault: Fault
    seq: int
    end: int | None = None

    def __str__(self) -> str:
        return f"{self.fault}\t{self.seq}" + ("" if self.end is None else f"-{self.end - 1}")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in `size` leaves; `unsealed` events wait for the sealer, `pruned` ones are lawfully gone."""

    size: int
    pruned: int
    unsealed: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A leaf with the event it points to: the driver's values, all None where the event is gone."""

    seq: int
    hash: bytes
    event: Sequence[Any]

    @property
    def is_gone(self) -> bool:
        return self.event[0] is None


def verify(
    engine: sa.Engine,
    verifiers: Sequence[Verifier],
    *,
    elsewhere: Iterable[Checkpoint] = (),
    start: int = 0,
    end: int | None = None,
) -> Report:
    """Compare events [start, end) with their leaves, and all leaves with the checkpoints, those kept `elsewhere` too.

    Reads in slices of a transaction each, so that sealing goes on meanwhile. Raises SQLAlchemy's OperationalError.
    """
    with engine.begin() as connection:
        sealer = connection.execute(sa.select(AuditSealer.__table__)).one()
    stored, findings = _checkpoints(engine, verifiers)
    known: _Known = {}
    # What was handed out comes second: where a copy elsewhere differs from ours, the trail has two continuations.
    for checkpoints, fault in ((stored, Fault.LEAVES_CHANGED), (elsewhere, Fault.FORKED)):
        for each in checkpoints:
            known.setdefault(each.size, []).append((each, fault))
    walk = _Walk(engine, known, start=start, end=end, kept_from=_kept_from(engine, sealer, stored))
    findings += walk.run()
    longest = max((sealer.size, *known))
    if walk.size < longest:
        findings.append(Finding(Fault.TRUNCATED, walk.size, longest))
    findings += _unsigned_end(engine, verifiers)
    return Report(walk.size, walk.pruned, _unsealed(engine, sealer), tuple(findings))


_Known = dict[int, list[tuple[Checkpoint, Fault]]]


class _Walk:
    """One walk over all leaves in their order."""

    def __init__(
        self,
        engine: sa.Engine,
        known: _Known,
        *,
        start: int,
        end: int | None,
        kept_from: int,
    ) -> None:
        self._engine = engine
        self._known = known
        self._start, self._end = start, end
        self._kept_from = kept_from
        self._growing = merkle.Growing()
        # Up to where the checkpoints of either kind agreed.
        self._proven = dict.fromkeys(Fault, 0)
        # One difference spoils every later root.
        self._is_broken = self._is_forked = False
        self._nodes: list[dict[str, Any]] = []
        self._unfit: list[_Entry] = []
        self._findings: list[Finding] = []
        self.pruned = 0

    @property
    def size(self) -> int:
        """Return the number of leaves, those missing in between counted."""
        return self._growing.size

    def run(self) -> list[Finding]:
        for entries in self._slices():
            for entry in entries:
                self._gap_before(entry.seq)
                self._compare(entry)
                self._grow(entry.hash)
            self._compare_nodes()
        return [*self._findings, *_named(self._unfit)]

    def _slices(self) -> Iterator[list[_Entry]]:
        after = -1
        chosen = (
            sa.select(_LEAF.c.seq, _LEAF.c.hash, *leaves.COLUMNS)
            .select_from(_LEAF.outerjoin(_EVENT, _EVENT.c.id == _LEAF.c.event_id))
            .order_by(_LEAF.c.seq)
            .limit(SLICE)
        )
        while True:
            with self._engine.begin() as connection:
                rows = connection.execute(chosen.where(_LEAF.c.seq > after)).all()
            if not rows:
                return
            yield [_Entry(row[0], bytes(row[1]), row[2:]) for row in rows]
            after = rows[-1][0]

    def _gap_before(self, seq: int) -> None:
        if seq > self.size:
            self._findings.append(Finding(Fault.LEAF_DELETED, self.size, seq))
            # Nothing can be said about roots behind a gap.
            self._is_broken = True
            self._growing = merkle.Growing(seq)

    def _compare(self, entry: _Entry) -> None:
        if not (self._start <= entry.seq and (self._end is None or entry.seq < self._end)):
            return
        if entry.is_gone and entry.seq < self._kept_from:
            self.pruned += 1
        elif entry.is_gone or leaves.hash_of(entry.seq, entry.event) != entry.hash:
            self._unfit.append(entry)

    def _grow(self, leaf: bytes) -> None:
        if self._is_broken:
            self._growing.size += 1
            return
        self._nodes += tree.rows_of(self._growing.append(leaf))
        for checkpoint, fault in self._known.get(self.size, ()):
            self._judge(checkpoint, fault)

    def _judge(self, checkpoint: Checkpoint, fault: Fault) -> None:
        if checkpoint.root == self._growing.root():
            self._proven[fault] = self.size
            return
        if fault is Fault.FORKED and self._is_forked:
            return
        self._findings.append(Finding(fault, self._proven[fault], self.size))
        if fault is Fault.FORKED:
            self._is_forked = True
        else:
            self._is_broken = True

    def _compare_nodes(self) -> None:
        nodes, self._nodes = self._nodes, []
        if not nodes:
            return
        places = [(node["level"], node["position"]) for node in nodes]
        chosen = sa.select(AuditNode.level, AuditNode.position, AuditNode.hash).where(
            sa.tuple_(AuditNode.level, AuditNode.position).in_(places)
        )
        with self._engine.begin() as connection:
            stored = {(level, position): bytes(found) for level, position, found in connection.execute(chosen)}
        for node in nodes:
            if stored.get((node["level"], node["position"])) != node["hash"]:
                first, span = node["position"], 1 << node["level"] * tree.SPAN
                self._findings.append(Finding(Fault.NODE_CHANGED, first * span, (first + 1) * span))


def _named(unfit: Sequence[_Entry]) -> Iterator[Finding]:
    """Name what happened to events that do not fit their leaf: gone, moved from another of these places, or edited."""
    some = unfit[:_MOST_MOVED]
    hashes = {entry.hash for entry in unfit}
    for entry in unfit:
        if entry.is_gone:
            yield Finding(Fault.DELETED, entry.seq)
        elif any(leaves.hash_of(other.seq, entry.event) in hashes for other in some if other.seq != entry.seq):
            yield Finding(Fault.MOVED, entry.seq)
        else:
            yield Finding(Fault.EDITED, entry.seq)


def _checkpoints(engine: sa.Engine, verifiers: Sequence[Verifier]) -> tuple[list[Checkpoint], list[Finding]]:
    trusted, findings, after = [], [], -1
    while True:
        chosen = sa.select(AuditCheckpoint.size, AuditCheckpoint.note).where(AuditCheckpoint.size > after)
        with engine.begin() as connection:
            rows = connection.execute(chosen.order_by(AuditCheckpoint.size).limit(SLICE)).all()
        for size, note in rows:
            try:
                checkpoint = opened(note, verifiers)
            except NoteRefused:
                findings.append(Finding(Fault.UNSIGNED, size))
                continue
            trusted.append(checkpoint)
        if len(rows) < SLICE:
            return sorted(trusted, key=lambda each: each.size), findings
        after = rows[-1][0]


def _unsigned_end(engine: sa.Engine, verifiers: Sequence[Verifier]) -> Iterator[Finding]:
    """Name leaves behind the newest checkpoint: who seals writes both at once. In one statement, for it goes on."""
    newest = sa.select(AuditCheckpoint.note).order_by(AuditCheckpoint.size.desc()).limit(1).scalar_subquery()
    with engine.begin() as connection:
        last, note = connection.execute(sa.select(sa.select(sa.func.max(_LEAF.c.seq)).scalar_subquery(), newest)).one()
    try:
        signed = opened(note or "", verifiers).size
    except NoteRefused:
        signed = 0
    if last is not None and last >= signed:
        yield Finding(Fault.INSERTED, signed, last + 1)


def _kept_from(engine: sa.Engine, sealer: Any, stored: Sequence[Checkpoint]) -> int:
    """Return below which number events may be missing: what a sealed event announced and a checkpoint dates."""
    chosen = (
        sa.select(_LEAF.c.seq, _LEAF.c.hash, *leaves.COLUMNS, sa.type_coerce(_EVENT.c.detail, Json))
        .select_from(_LEAF.join(_EVENT, _EVENT.c.id == _LEAF.c.event_id))
        .where(_LEAF.c.event_id == (sealer.pruned_by or UUID(int=0)))
    )
    with engine.begin() as connection:
        row = connection.execute(chosen).one_or_none()
        at = connection.scalar(sa.select(AuditEvent.at).where(AuditEvent.id == sealer.pruned_by))
    if row is None or at is None or leaves.hash_of(row[0], row[2:-1]) != bytes(row[1]):
        return 0
    before, age = int(row[-1]["before"]), timedelta(days=int(row[-1]["days"]))
    return before if any(each.size == before and each.at <= at - age for each in stored) else 0


def _unsealed(engine: sa.Engine, sealer: Any) -> int:
    is_leaf = _LEAF.c.event_id == _EVENT.c.id
    chosen = sa.select(sa.func.count()).select_from(_EVENT.outerjoin(_LEAF, is_leaf))
    with engine.begin() as connection:
        return connection.scalar(chosen.where(_EVENT.c.id >= sealer.settled, _LEAF.c.seq.is_(None))) or 0
