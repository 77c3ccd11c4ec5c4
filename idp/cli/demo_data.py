"""What a provider of the demo holds: keyring, schema, keys, clients and people, made by the acts of the rooms."""

from collections.abc import Collection, Mapping
from typing import Any

from idp.agencies import apply, document
from idp.citizens.documents import Row
from idp.citizens.enrolment import import_documents
from idp.citizens.models import Citizen
from idp.citizens.registry import table as embedded_register
from idp.cli.db import upgrade
from idp.cli.shared import services, settings
from idp.core.database import db
from idp.keys import rotation
from idp.sandbox.persona import Persona
from idp.upstream import apply as upstream
from idp.upstream import document as upstream_document


def prepare(
    clients: Collection[Mapping[str, Any]],
    people: Collection[Persona],
    *,
    known: Collection[embedded_register.Person] = (),
    providers: Collection[Mapping[str, Any]] = (),
) -> tuple[bool, bool]:
    """Make what is not there yet: `known` are people in the register alone, `providers` those that are federated.

    Returns whether the database changed, and whether the people were enrolled.
    """
    chosen = settings()
    before, after = upgrade(chosen.database_url)
    with services() as provider:
        rotation.ensure_keys(provider.keyring)
        documents = [document.read(each, source=str(each["client_id"]), is_sandbox=True) for each in clients]
        apply.apply(documents, is_sandbox=True)
        is_empty = db.session.query(Citizen.id).first() is None
        if is_empty:
            rows = [Row(persona.key, persona.document()) for persona in people]
            import_documents(rows, settings=chosen, keyring=provider.keyring, registry=provider.registry)
        embedded_register.write(known, keyring=provider.keyring)
        for each in providers:
            read = upstream_document.read(each, source=str(each["slug"]), is_sandbox=True)
            upstream.apply(read, keyring=provider.keyring)
    return before != after, is_empty
