"""Plan: the providers that a request goes to. Router: from a request's path and headers to its plan."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from gateway.errors import BadInput, Forbidden, NotFound
from gateway.models.exchange import value_class
from gateway.models.route import MIRROR_PATH, Route, RouteTarget
from gateway.routing.providers import Provider, ProviderTable


@value_class()
class Target:
    """A provider, and the request target to send to it."""

    provider: Provider
    request_target: str


@value_class()
class Plan:
    """The target of a request; with a route one for each of its leaves, by their paths, the first among them."""

    target: Target
    of_route: Mapping[str, Target] | None = None

    @property
    def targets(self) -> Collection[Target]:
        return (self.target,) if self.of_route is None else self.of_route.values()

    def target_of(self, leaf: RouteTarget) -> Target:
        assert self.of_route is not None, "the plan is not that of a route"
        return self.of_route[leaf.path]


@dataclass
class Router:
    """Chooses a provider for each request."""

    _providers: ProviderTable
    _default: str | None
    _custom_hosts: Collection[str]
    _custom_provider: Callable[[str], Provider]

    def plan(
        self, path: str, provider_name: str | None, custom_host: str | None, field: str = "x-portkey-provider"
    ) -> Plan:
        """Return where to send a request. Raises BadInput, Forbidden or NotFound."""
        first = path.split("/", 2)[1]
        if "?" in first:
            first = first.partition("?")[0]
        if first != "v1":
            provider = self._providers.get(first)
            if provider is None:
                raise self._not_found(path)
            return _single(provider, path[len(first) + 1 :])
        if custom_host is not None:
            return _single(self._custom(custom_host), path)
        return _single(self._named_in_header(provider_name, field), path)

    def plan_route(
        self,
        route: Route,
        path: str,
        provider_name: str | None,
        custom_host: str | None,
        field: str = "x-portkey-provider",
    ) -> Plan:
        """Return where the leaves of a route send a request; what the request names goes before what they have."""
        rest = path
        first = path.split("/", 2)[1].partition("?")[0]
        if first != "v1":
            if first not in self._providers:
                raise self._not_found(path)
            provider_name, rest = first, path[len(first) + 1 :]
        targets: dict[str, Target] = {}
        for leaf in route.targets:
            # What a request names is not meant for the mirror.
            named = None if leaf.path == MIRROR_PATH else custom_host
            host = named or leaf.settings.custom_host
            if host is not None:
                provider = self._custom(host)
            else:
                provider = self._named_in_header(leaf.provider or provider_name, field)
            if leaf.api_key is not None:
                provider = provider.with_key(leaf.api_key)
            targets[leaf.path] = Target(provider, provider.base_path.join(rest))
        return Plan(next(iter(targets.values())), targets)

    @property
    def providers(self) -> Collection[Provider]:
        return self._providers.values()

    def is_root(self, path: str) -> bool:
        # Of the gateway, or of a provider.
        name = path.partition("?")[0].strip("/")
        return not name or name in self._providers

    def plan_by_name(self, path: str, provider_name: str) -> Plan | None:
        provider = self._providers.get(provider_name)
        return None if provider is None else _single(provider, path)

    def url_of(self, provider_name: str, path: str) -> str | None:
        """Return a provider's URL for a caller's path."""
        provider = self._providers.get(provider_name)
        if provider is None:
            return None
        is_named = re.match(f"/{re.escape(provider_name)}(?![^/?])", path)
        caller_path = path[len(provider_name) + 1 :] if is_named else path
        return "/".join(provider.base_url.split("/", 3)[:3]) + provider.base_path.join(caller_path)

    def _not_found(self, path: str) -> NotFound:
        fix = f"Paths start with /v1/ or with a provider's name: {self._names()}."
        return NotFound(f"nothing is served at {path.partition('?')[0][:200]!r}.", hint=fix)

    def _named_in_header(self, name: str | None, field: str) -> Provider:
        name = name.removeprefix("@") if name else self._default
        if name is None:
            fix = f"Name one of: {self._names()}."
            raise BadInput("no default provider is configured.", field="x-portkey-provider", hint=fix)
        provider = self._providers.get(name)
        if provider is None:
            fix = f"Configured are: {self._names()}."
            raise BadInput(f"no provider is called {name[:100]!r}.", field=field, hint=fix)
        return provider

    def _custom(self, url: str) -> Provider:
        origin = "/".join(url.split("/", 3)[:3]).lower()
        if origin not in self._custom_hosts:
            origin = _without_credentials(origin)[:200]
            fault = f"the origin {origin!r} is not among server.allow_custom_hosts."
            raise Forbidden(fault, field="x-portkey-custom-host")
        return self._custom_provider(url)

    def _names(self) -> str:
        return ", ".join(self._providers)


def _single(provider: Provider, path: str) -> Plan:
    return Plan(Target(provider, provider.base_path.join(path)))


def _without_credentials(origin: str) -> str:
    # What stands before an @ may be a password.
    scheme, slashes, host = origin.rpartition("//")
    return scheme + slashes + host.rpartition("@")[2]
