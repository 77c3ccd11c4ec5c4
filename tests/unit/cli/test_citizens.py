"""`idp citizens import`: files of every form, mistakes named with file and row, nothing half done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from idp.citizens.documents import DocumentsRefused
from idp.cli import citizens
from idp.cli.citizens import read_rows
from idp.core.database import driver_url
from tests.unit.citizens.place import NUMBER, OTHER_NUMBER, document

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, "utf-8")
        return tmp_path / name

    return write_file


def members(path: Path) -> list[dict[str, Any]]:
    return [dict(row.members) for row in read_rows(path)]


def test_rows_are_the_same_in_every_form(write: Write) -> None:
    one = document(address={"locality": "Huế"}, email_verified="true")
    other = document(number=OTHER_NUMBER)
    table = (
        "number,full_name,birthdate,gender,address.locality,email_verified\r\n"
        f"{NUMBER},Nguyễn Thị Hoà,1991-02-28,female,Huế,true\r\n"
        ",,,,,\r\n"
        f'{OTHER_NUMBER},"Nguyễn Thị Hoà",1991-02-28,female,,\r\n'
    )
    forms = {
        "list.json": json.dumps([one, other], indent=1),
        "lines.jsonl": json.dumps(one, ensure_ascii=False) + "\n\n" + json.dumps(other) + "\n",
        "bom.json": "\ufeff" + json.dumps([one, other]),
        "table.CSV": table,
    }
    for name, text in forms.items():
        assert members(write(name, text)) == [one, other], name
    assert members(write("one.json", json.dumps(one, indent=1))) == [one]


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("a.json", "", "a.json: line 1: is not JSON"),
        ("a.json", "[]", "a.json: holds no citizen document"),
        ("a.json", '[{"number": }]', "a.json: line 1: is not JSON"),
        ("a.json", '[{"number": "1"}, 2]', "a.json: row 2: is not a JSON object"),
        ("a.json", '[{"number": "1", "number": "2"}]', "a.json: has the member number twice"),
        ("a.jsonl", '{"a": 1}\n{"a"', "a.jsonl: row 2: is not one JSON object"),
        ("a.jsonl", '{"a": 1}\n{"a": 1, "a": 2}', "a.jsonl: row 2: has the member a twice"),
        ("a.csv", "", "a.csv: holds no citizen document"),
        ("a.csv", "number,number\n1,2\n", "a.csv: heading: names a column twice"),
        ("a.csv", "number,gender\n1\n", "a.csv: row 2: has 1 cells where the heading has 2"),
        ("a.csv", 'number,gender\n1,"x\n', "a.csv: row 2: is not CSV"),
        ("a.csv", "address,address.region\nx,y\n", "a.csv: row 2: has both the column address"),
        ("a.csv", "address.region,address\nx,y\n", "a.csv: row 2: has both the column address"),
    ],
)
def test_file_is_refused_with_its_place(write: Write, name: str, text: str, advice: str) -> None:
    with pytest.raises(DocumentsRefused) as refused:
        read_rows(write(name, text))
    assert advice in str(refused.value)


def test_file_is_refused_when_it_is_not_utf8_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes('{"full_name": "Hoà"}'.encode("latin-1"))
    for name, advice in (("latin.json", "is not UTF-8"), ("nowhere.json", "cannot be read"), (".", "cannot be read")):
        with pytest.raises(DocumentsRefused, match=advice):
            read_rows(tmp_path / name)


@pytest.fixture
def run(migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    from idp.core import keyring

    keyring.create(tmp_path / "secrets")
    monkeypatch.setenv("IDP_DATABASE_URL", migrated_database_url)
    monkeypatch.setenv("IDP_SECRETS_DIR", str(tmp_path / "secrets"))
    return lambda *arguments: CliRunner().invoke(citizens.group, ["import", *map(str, arguments)])


def stored(url: str) -> int:
    engine = sa.create_engine(driver_url(url))
    with engine.connect() as connection:
        number = connection.execute(sa.text("SELECT count(*) FROM citizen")).scalar_one()
    engine.dispose()
    return int(number)


def test_people_are_imported_and_counted_when_the_files_are_right(
    run: Callable[..., Result], write: Write, migrated_database_url: str
) -> None:
    first = write("a.json", json.dumps([document()]))
    second = write("b.json", json.dumps([document(number=OTHER_NUMBER, register={"outcome": "deceased"})]))
    done = run(first, second)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "2 citizens: 2 enrolled, 0 updated",
        "  1 register confirmed, identity matched",
        "  1 register deceased, identity matched",
    ]
    assert run(first).output.startswith("1 citizens: 0 enrolled, 1 updated")
    assert stored(migrated_database_url) == 2


def test_nobody_is_imported_when_one_of_the_files_is_wrong(
    run: Callable[..., Result], write: Write, migrated_database_url: str
) -> None:
    right = write("a.json", json.dumps([document()]))
    wrong = write("b.json", json.dumps([document(number=OTHER_NUMBER), document(number="12", full_name=None)]))
    refused = run(right, wrong)
    assert refused.exit_code == 2
    assert refused.stderr.splitlines() == [
        f"{wrong}: row 2: number: has too many or too few characters for this scheme",
        f"{wrong}: row 2: full_name: is missing; every document needs it",
        "nothing was imported",
    ]
    assert stored(migrated_database_url) == 0


def test_help_is_shown_when_asked_or_when_no_file_is_named() -> None:
    shown = CliRunner().invoke(citizens.group, ["import", "--help"])
    assert (shown.exit_code, "JSON lines" in shown.output) == (0, True)
    assert CliRunner().invoke(citizens.group, ["import"]).exit_code == 2
