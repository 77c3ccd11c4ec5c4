"""One provider for each kind of database, shared by the whole run; every test brings its own clients and citizens."""

from tests.provider_fixtures import browser, provider

__all__ = ["browser", "provider"]
