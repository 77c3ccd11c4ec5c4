"""Bring this provider into the shared harness (`../shared/bench`), beside the published ones.

set-up:  copy this file to peers/ours/peer.py of a copy of the harness, then
         export LIENKET=/path/to/this/repository LIENKET_PYTHON=$LIENKET/.venv/bin/python
run:     oidcbench.py ours ours:alg=ES256 panva:store=redis,workers=2 ...
options: alg=RS256|ES256 workers=2 clients=10

The harness puts its `lib` on the path; the provider is set up by `python -m tests.bench.seed` under our own Python,
because the harness's one has none of our packages. PostgreSQL is the harness's own, durable as an operator's.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import benchlib as b
import pg

PORT = 9470


def start(alg: str = "RS256", workers: str = "2", clients: str = "10") -> tuple[dict[str, Any], list[Any]]:
    """Start the provider on an empty database; return the harness's description of it and its processes."""
    with socket.socket() as probe:
        # The harness takes the first answer on the port for ours, also that of a server left over.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", PORT))
    root = os.environ["LIENKET"]
    python = os.environ.get("LIENKET_PYTHON", f"{root}/.venv/bin/python")
    directory = Path(b.HOME) / "data" / f"ours-{alg}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    database, postgres = pg.database(f"ours_{time.time_ns()}")
    command = [python, "-m", "tests.bench.seed", "--directory", str(directory), "--database", database]
    command += ["--port", str(PORT), "--clients", clients]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"seed: {done.stderr[-1500:]}")
    site = json.loads(done.stdout)
    client = f"bench-{alg.lower()}"
    cookies = directory / "cookies.txt"
    cookies.write_text("\n".join(site["cookies"]) + "\n", "utf-8")
    serve = [python, "-m", "idp.cli", "serve", "--host", "127.0.0.1", "--port", str(PORT), "--workers", workers]
    environment = site["environment"]
    server = b.Proc("ours", serve, PORT, env=environment, cwd=root, path="/.well-known/openid-configuration")
    paths = ("authorize", "token", "userinfo", "introspect", "jwks")
    description = {
        "name": f"ours {alg}",
        "port": PORT,
        "dir": str(directory),
        "client_id": client,
        "client_secret": site["secrets"][client],
        "redirect_uri": "https://rp.example.test/cb",
        "endpoints": {name: f"/{name}" for name in paths} | {"discovery": "/.well-known/openid-configuration"},
        "cookies": str(cookies),
        "refresh": True,
        "rotates": True,
        "refresh_scope": "openid profile email offline_access",
        "refresh_profile": {"client_id": "bench-refresh", "client_secret": site["secrets"]["bench-refresh"]},
        "ready_s": server.ready_s,
        "notes": f"granian x{workers}; PostgreSQL, durable; opaque tokens as digests; ledger and audit rows each login",
    }
    return description, [server, postgres]
