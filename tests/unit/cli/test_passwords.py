"""`idp passwords`: the operator's list is built from a file and shown, and refusals are single lines."""

from pathlib import Path

from click.testing import CliRunner

from idp.cli import main


def run(*arguments: str, blocklist: str = "", typed: bytes | None = None) -> tuple[int, str]:
    environment = {"IDP_PASSWORD_BLOCKLIST": blocklist}
    done = CliRunner().invoke(main, ["passwords", "blocklist", *arguments], env=environment, input=typed)
    return done.exit_code, done.output


def test_list_is_built_and_shown(tmp_path: Path) -> None:
    path = str(tmp_path / "kept" / "passwords.list")
    (tmp_path / "plain").write_text("mat khau\nmat khau\n123456\n")
    assert run("build", str(tmp_path / "plain"), blocklist=path) == (0, f"{path}: 2 passwords\n")
    status, output = run("show", blocklist=path)
    assert (status, output.split("\t")[:3]) == (0, [path, "2 passwords", "32 bytes"])
    assert run("build", "-", blocklist=path, typed=b"one\n") == (0, f"{path}: 1 passwords\n")


def test_refusals_are_single_lines(tmp_path: Path) -> None:
    assert run("show")[0] == 2
    assert "IDP_PASSWORD_BLOCKLIST" in run("show")[1]
    status, output = run("show", blocklist=str(tmp_path / "none"))
    assert (status, len(output.splitlines())) == (2, 1)
    (tmp_path / "other").write_text("of no kind")
    assert "is no list" in run("show", blocklist=str(tmp_path / "other"))[1]
