"""The named dependencies of a running provider, built once by the factory and read by views."""

from dataclasses import dataclass
from typing import cast

from idp.agencies.clients import ClientDirectory
from idp.agencies.remote_keys import ClientKeys
from idp.citizens.registry import PopulationRegistry
from idp.core import web
from idp.core.database import HotPath
from idp.core.keyring import Keyring
from idp.core.limits import Buckets, Limiter
from idp.core.outbound import Outbound
from idp.core.settings import Settings
from idp.keys.ring import SigningKeys
from idp.upstream.directory import ProviderDirectory
from idp.upstream.login import Upstream


@dataclass(frozen=True)
class Services:
    """What the rooms lend each other."""

    settings: Settings
    keyring: Keyring
    hot_path: HotPath
    clients: ClientDirectory
    client_keys: ClientKeys
    signing_keys: SigningKeys
    registry: PopulationRegistry
    limiter: Limiter
    requests: Buckets
    outbound: Outbound
    providers: ProviderDirectory
    upstream: Upstream


def services() -> Services:
    """Return the services of the provider that serves the current request."""
    return cast(Services, web.extension())
