#!/usr/bin/env python3
"""Rebuild idp/static/assets, the licence texts and the manifest from the packages pinned beside this file.

Run it only to change the look or to take a new release: what it makes is committed, and neither `make demo` nor a
running provider needs npm. Needs Python 3.11 and npm; downloads from the npm registry. The same pins give the same
bytes, so a run that changes nothing leaves no diff.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD = Path(__file__).resolve().parent
STATIC = BUILD.parent
ASSETS = STATIC / "assets"
LICENCES = STATIC / "licences"
FONTS = "@fontsource-variable/noto-sans"
OWN = {"package": "lienket", "version": "own work", "licence": "Apache-2.0"}


def main() -> int:
    """Install the pinned packages in a temporary folder, build every asset, replace what stood there."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(BUILD / name, work / name)
        # No install scripts: a compromised package must not run code on the builder.
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=work, check=True)
        packages = work / "node_modules"
        shutil.rmtree(ASSETS, ignore_errors=True)
        ASSETS.mkdir()
        manifest: dict[str, object] = {}
        stylesheet = compile_stylesheet(packages)
        for subset in ("latin", "vietnamese"):
            logical = f"noto-sans-{subset}.woff2"
            content = (packages / FONTS / "files" / f"noto-sans-{subset}-wght-normal.woff2").read_bytes()
            manifest[logical] = add(logical, content, [source(packages, FONTS, "OFL-1.1")])
            stylesheet = stylesheet.replace(logical, hashed(logical, content))
        for script in ("form-post.js", "passkey.js"):
            manifest[script] = add(script, (BUILD / script).read_bytes(), [OWN])
        manifest["favicon.svg"] = add("favicon.svg", (BUILD / "mark.svg").read_bytes(), [OWN])
        manifest["lienket.css"] = add(
            "lienket.css", stylesheet.encode(), [source(packages, "govuk-frontend", "MIT"), OWN]
        )
        shutil.copy(packages / FONTS / "LICENSE", LICENCES / "noto-sans-OFL-1.1.txt")
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (STATIC / "manifest.json").write_text(text, encoding="utf-8")
    return 0


def compile_stylesheet(packages: Path) -> str:
    """Return brand.scss as one minified sheet."""
    command = ["node", str(packages / "sass" / "sass.js"), "--style=compressed", "--no-source-map", "--quiet-deps"]
    command += [f"--load-path={packages}", str(BUILD / "brand.scss")]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def source(packages: Path, package: str, licence: str) -> dict[str, str]:
    """Return the manifest's note on an npm package, its version as installed."""
    version = json.loads((packages / package / "package.json").read_text(encoding="utf-8"))["version"]
    return {"package": package, "version": version, "licence": licence}


def hashed(logical: str, content: bytes) -> str:
    """Return the file name that carries the content's hash, so that caches may keep it for ever."""
    stem, dot, suffix = logical.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}{dot}{suffix}"


def add(logical: str, content: bytes, sources: list[dict[str, str]]) -> dict[str, object]:
    """Write one asset and return its manifest entry."""
    name = hashed(logical, content)
    (ASSETS / name).write_bytes(content)
    return {"file": name, "sha256": hashlib.sha256(content).hexdigest(), "sources": sources}


if __name__ == "__main__":
    sys.exit(main())
