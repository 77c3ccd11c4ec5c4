"""setup.cfg, the locks and the code agree: nothing undeclared, nothing idle, nothing unpinned."""

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
# Needed although no line imports them.
LOADED_BY_NAME = {
    "govuk-frontend-jinja": "its templates, by a PackageLoader in idp/app.py",
}


@pytest.fixture(scope="module")
def configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def listed(configuration: configparser.ConfigParser, section: str, option: str) -> list[str]:
    lines = (line.strip() for line in configuration[section][option].splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_every_package_is_listed_when_it_holds_code(configuration: configparser.ConfigParser) -> None:
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for top in ("idp", "clients")
        for init in (ROOT / top).rglob("*.py")
        if "static" not in init.parts
    }
    found |= {"idp.templates", "idp.migrations", "idp.migrations.versions"}
    assert listed(configuration, "options", "packages") == sorted(found)


@pytest.mark.parametrize("top", ["idp", "clients"])
def test_every_folder_with_code_is_a_package(top: str) -> None:
    folders = {module.parent for module in (ROOT / top).rglob("*.py") if "static" not in module.parts}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_import_is_declared_and_every_declaration_imported(configuration: configparser.ConfigParser) -> None:
    required = {
        canonicalize_name(Requirement(line).name) for line in listed(configuration, "options", "install_requires")
    }
    optional = {
        canonicalize_name(Requirement(line).name)
        for extra in ("postgres", "redis", "hsm")
        for line in listed(configuration, "options.extras_require", extra)
    }
    names = packages_distributions()
    imported = {
        canonicalize_name(distribution)
        for module in third_party_imports()
        for distribution in names.get(module, [f"unknown:{module}"])
    }
    assert imported - required - optional == set(), "imported, not declared"
    assert required - imported - set(LOADED_BY_NAME) == set(), "declared, not imported"


def third_party_imports() -> set[str]:
    found: set[str] = set()
    for top in ("idp", "clients", "migrations"):
        for file in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"idp", "clients"}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_and_hashes_every_package_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    requirements = [line for line in text.splitlines() if line and line[0] not in "# "]
    assert requirements
    assert [
        line for line in requirements if not re.match(r"[a-z0-9._-]+(\[[a-z0-9, -]+\])?==[^ ]+( ; .+)? \\$", line)
    ] == []
    assert text.count("==") >= len(requirements)
    for block in re.split(r"\n(?=[a-z])", text.strip()):
        assert "--hash=sha256:" in block, block
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_every_range_of_the_metadata(configuration: configparser.ConfigParser, lock: str) -> None:
    wanted = [
        *listed(configuration, "options", "install_requires"),
        *(
            line
            for extra in ("postgres", "redis", "build", *(["dev"] if "dev" in lock else []))
            for line in listed(configuration, "options.extras_require", extra)
        ),
    ]
    pinned = pins(lock)
    for line in wanted:
        requirement = Requirement(line)
        versions = pinned[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in versions), line


def test_locks_agree_where_both_pin_a_package() -> None:
    runtime, development = (pins(lock) for lock in LOCKS)
    assert {name: development.get(name) for name in runtime} == runtime


def pins(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ]+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE
    ):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found
