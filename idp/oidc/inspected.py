"""What the inspector may take for harmless in the requests of a client: what its record says."""

from idp.inspector.redaction import Directory, Record
from idp.sso.services import Services


def records_of(provider: Services) -> Directory:
    """Return the directory by which the inspector redacts requests. It raises DatabaseUnavailable."""

    def find(client_id: str) -> Record | None:
        client = provider.clients.find(client_id)
        if client is None:
            return None
        keys = provider.client_keys.at_hand(client).get("keys", ())
        names = (key.get("kid") for key in keys if isinstance(key, dict))
        return Record(
            client.client_id,
            addresses=client.redirect_uris | client.post_logout_redirect_uris,
            key_ids=frozenset(name for name in names if isinstance(name, str)),
            scopes=frozenset(client.scopes),
            resources=frozenset(client.resources),
        )

    return find
