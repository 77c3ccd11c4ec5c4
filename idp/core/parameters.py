"""Reading what a browser or portal sent: parameters from a query string or a form, strictly.

Owns the refusal of what no honest sender produces (bytes that are not UTF-8, control characters, hundreds of
fields) before any other code sees it, and remembers which parameters came twice. Leaves their meaning to `oidc`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

MOST_FIELDS = 100
LONGEST_QUERY = 8_192
LONGEST_FORM = 65_536
# A tab is not among them: it comes along when a number is pasted from a table.
CONTROL = frozenset(chr(code) for code in (*range(0x20), 0x7F)) - {"\t"}
OF_LINES = frozenset({"document", "words", "reason-vi", "reason-en", "reason-fr"})
"""Fields of our own pages in which people write several lines."""
_LINE_ENDS = frozenset("\r\n")


class MalformedParameters(ValueError):
    """The text is not a well-formed set of parameters; it holds nothing of the text itself."""


@dataclass(frozen=True)
class Parameters(Mapping[str, str]):
    """Parameters by name; one given twice is in `repeated` and has its first value here.

    An empty value counts as absent (RFC 6749, 3.1).
    """

    values_by_name: Mapping[str, str]
    repeated: frozenset[str]

    def __getitem__(self, name: str) -> str:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


NOTHING = Parameters({}, frozenset())


def read(encoded: bytes, *, of_lines: frozenset[str] = frozenset()) -> Parameters:
    """Return the parameters in `application/x-www-form-urlencoded` bytes; those in `of_lines` may hold ends of lines.

    Raises MalformedParameters.
    """
    if not encoded:
        return NOTHING
    try:
        text = encoded.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise MalformedParameters(type(error).__name__) from None
    values: dict[str, str] = {}
    repeated = set()
    for name, value in pairs:
        refused = CONTROL - _LINE_ENDS if name in of_lines else CONTROL
        if not CONTROL.isdisjoint(name) or not refused.isdisjoint(value):
            raise MalformedParameters("control character")
        if name in values:
            repeated.add(name)
        values.setdefault(name, value)
    return Parameters({name: value for name, value in values.items() if value}, frozenset(repeated))
