"""One provider for each kind of database."""

from tests.provider_fixtures import browser, provider

__all__ = ["browser", "provider"]
