#!/bin/sh
# What a container of this image does first. The command is one of:
#   serve [--workers N]   wait for the database, migrate it if LIENKET_MIGRATE=1, make the secrets if
#                         LIENKET_SECRETS_INIT=1 and there are none, then become `idp serve`
#   migrate               wait for the database, migrate it, end
#   healthy               ask the server in this container for its discovery document
#   anything else         handed to `idp` (clients apply, citizens import, keys rotate, ...)
# Environment: PORT (8000), WORKERS (2), LIENKET_WAIT (seconds to wait for the database, 60).
set -eu

wait_for_database() {
    # SQLite is a file of ours and needs no waiting.
    case "${IDP_DATABASE_URL:-sqlite}" in sqlite*) return 0 ;; esac
    python - "${LIENKET_WAIT:-60}" <<'PYTHON'
import os
import sys
import time

import psycopg

address = "postgresql://" + os.environ["IDP_DATABASE_URL"].split("://", 1)[1]
end = time.monotonic() + float(sys.argv[1])
while True:
    try:
        psycopg.connect(address, connect_timeout=3).close()
        break
    except psycopg.ProgrammingError:
        # Its message would quote the address, and the address may hold a password.
        sys.exit("lienket: IDP_DATABASE_URL is not an address that PostgreSQL understands")
    except psycopg.OperationalError as refused:
        if time.monotonic() >= end:
            reason = str(refused).strip().splitlines()[-1].strip()
            sys.exit(f"lienket: the database did not answer within {sys.argv[1]} seconds: {reason}")
        time.sleep(0.5)
PYTHON
}

command="${1:-serve}"
[ $# -eq 0 ] || shift

case "$command" in
serve)
    if [ "${LIENKET_SECRETS_INIT:-0}" = 1 ] && [ -z "$(ls -A "${IDP_SECRETS_DIR:-var/secrets}" 2>/dev/null)" ]; then
        idp secrets init
    fi
    wait_for_database
    if [ "${LIENKET_MIGRATE:-0}" = 1 ]; then
        idp db upgrade
    fi
    # exec: the server must be the process that receives SIGTERM. Inside a container only the proxy's network reaches it.
    exec idp serve --host "${HOST:-0.0.0.0}" --port "${PORT:-8000}" --workers "${WORKERS:-2}" "$@"
    ;;
migrate)
    wait_for_database
    exec idp db upgrade "$@"
    ;;
healthy)
    exec python - <<'PYTHON'
import http.client
import os
import sys
from urllib.parse import urlsplit

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=2)
# The provider answers only to its own name.
issuer = urlsplit(os.environ.get("IDP_ISSUER", ""))
try:
    connection.request("GET", issuer.path + "/.well-known/openid-configuration", headers={"Host": issuer.netloc})
    sys.exit(connection.getresponse().status != 200)
except OSError as refused:
    sys.exit(f"lienket: no answer: {refused.strerror or refused}")
PYTHON
    ;;
*)
    exec idp "$command" "$@"
    ;;
esac
