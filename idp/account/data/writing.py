"""The two forms of what is held about a person: JSON for programs, labelled lines for people."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from idp.account.data.holdings import Record, Section
from idp.account.words import moment
from idp.citizens import claims
from idp.core.i18n import translate
from idp.core.scopes import OFFLINE_ACCESS

_CHUNK = 32_768
_TIMES = frozenset(
    {"at", "since", "until", "added_at", "created_at", "updated_at", "ended_at", "last_used_at", "opened_at",
     "registry_checked_at", "signed_in_at", "valid_from", "valid_to"}
)  # fmt: skip
_WORDS = {"level": "level", "basis": "data.basis"}
Lines = list[tuple[str, list[str]]]


def as_json(sections: Iterator[Section], *, made_at: datetime) -> Iterator[str]:
    """Yield one JSON object piece by piece: `made_at`, then an array for each section."""
    pieces = [f'{{\n"made_at": {json.dumps(made_at.isoformat(timespec="seconds"))}']
    size = 0
    for section in sections:
        pieces.append(f",\n{json.dumps(section.name)}: [")
        for number, record in enumerate(section.records):
            pieces.append((",\n" if number else "\n") + json.dumps(record, ensure_ascii=False))
            size += len(pieces[-1])
            if size >= _CHUNK:
                yield "".join(pieces)
                pieces, size = [], 0
        pieces.append("\n]")
    yield "".join([*pieces, "\n}\n"])


def readable(sections: Iterator[Section], *, language: str) -> Iterator[tuple[str, Iterator[Lines]]]:
    """Yield each section's name and its records as lines of label and values, read as they are asked for."""
    for section in sections:
        write = _profile if section.name == "profile" else _lines
        yield section.name, (write(record, language) for record in section.records)


def _profile(record: Record, language: str) -> Lines:
    return [
        (
            translate(language, f"claim.{name}"),
            [
                translate(language, shown.text) if shown.is_message else shown.text
                for shown in claims.display(name, value, language=language)
            ],
        )
        for name, value in record.items()
    ]


def _lines(record: Record, language: str) -> Lines:
    return [
        (translate(language, f"data.field.{name}"), _values(name, value, language)) for name, value in record.items()
    ]


def _values(name: str, value: Any, language: str) -> list[str]:
    if name in ("items", "lasting"):
        return [_inner(each, language) for each in value]
    if name in _TIMES:
        return [moment(datetime.fromisoformat(value))]
    if name in _WORDS:
        return [translate(language, f"{_WORDS[name]}.{value}")]
    if isinstance(value, dict):
        return [f"{key}: {inner}" for key, inner in value.items()]
    return [str(value)]


def _inner(record: Record, language: str) -> str:
    """Return an item, or a lasting access, in one line."""
    if "item" not in record:
        return "; ".join(f"{label} {' '.join(values)}" for label, values in _lines(record, language))
    claim = record["item"]
    label = translate(language, "history.lasting" if claim == OFFLINE_ACCESS else f"claim.{claim}")
    said = f"{label}: {record['purpose']}" if "purpose" in record else label
    return f"{said} ({translate(language, 'history.source.' + record['source'])})" if "source" in record else said
