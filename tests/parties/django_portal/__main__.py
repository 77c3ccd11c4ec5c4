"""Serve the portal: python -m tests.parties.django_portal CONFIGURATION.json."""

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit
from wsgiref.simple_server import make_server

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

configuration = json.loads(Path(sys.argv[1]).read_text("utf-8"))
[client] = configuration["clients"].values()
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "tests.parties.django_portal.settings",
    "DATABASE": f"{sys.argv[1]}.sqlite3",
    "OIDC_ISSUER": configuration["issuer"],
    "OIDC_CLIENT_ID": client["client_id"],
    "OIDC_CLIENT_SECRET": client["client_secret"],
    "OIDC_RENEW_SECONDS": "2",
}
django.setup()
call_command("migrate", verbosity=0)
make_server("127.0.0.1", urlsplit(configuration["origin"]).port or 0, get_wsgi_application()).serve_forever()
