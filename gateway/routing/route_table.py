"""RouteTable: the routes of the configuration by name, and those that callers send themselves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.errors import BadInput, Forbidden
from gateway.models.route import Route
from gateway.routing.portkey_config import parse_header

CONFIG_FIELD = "x-portkey-config"

# Distinct configs of callers that are kept parsed.
_MAX_PARSED = 256
_JSON_START = (b"{", b"[")


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Routes, and what their targets may name.

    Args:
        routes: of the configuration, by name.
        of_keys: names of the routes that keys use by default, by the name of the key.
        providers: names of the configured providers.
        custom_hosts: origins that a config may send requests to.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    of_keys: Mapping[str, str] = field(default_factory=dict)
    providers: Collection[str] = ()
    custom_hosts: Collection[str] = ()

    def find(self, header: bytes | None, key_name: str | None) -> Route | None:
        """Return the route that a request names or brings, else its key's. Raises BadInput or Forbidden."""
        if header is None:
            name = self.of_keys.get(key_name) if key_name is not None else None
            return None if name is None else self.routes[name]
        text = header.strip()
        if text.startswith(_JSON_START):
            route = _parse(text)
            if route.mirror is not None:
                # Its requests count for no limit of the caller's.
                fault = "only routes of the configuration have a mirror."
                raise BadInput(fault, field=f"{CONFIG_FIELD}.mirror")
            if route.experiment is not None:
                fault = "only routes of the configuration have an experiment."
                raise BadInput(fault, field=f"{CONFIG_FIELD}.experiment")
            check_targets(route, self.providers, self.custom_hosts, CONFIG_FIELD)
            return route
        name = text.decode("utf-8", "replace")
        if (named := self.routes.get(name)) is None:
            known = ", ".join(self.routes) or "none"
            hint = f"Configured are: {known}. A config of your own is sent as JSON."
            raise BadInput(f"no route is called {name[:100]!r}.", field=CONFIG_FIELD, hint=hint)
        return named


@lru_cache(maxsize=_MAX_PARSED)
def _parse(text: bytes) -> Route:
    return parse_header(text, CONFIG_FIELD)


def check_targets(
    route: Route, providers: Collection[str], custom_hosts: Collection[str], field: str
) -> None:
    """Raise BadInput or Forbidden where a target names a provider or a host that may not be used.

    Args:
        field: what errors call the config.
    """
    for target in route.targets:
        place = field + target.path.removeprefix("config")
        if target.provider is not None and target.provider not in providers:
            hint = f"Configured are: {', '.join(providers)}."
            fault = f"no provider is called {target.provider[:100]!r}."
            raise BadInput(fault, field=f"{place}.provider", hint=hint)
        if (host := target.settings.custom_host) is not None and _origin(host) not in custom_hosts:
            fault = f"the origin {_origin(host)[:200]!r} is not among server.allow_custom_hosts."
            raise Forbidden(fault, field=f"{place}.custom_host")


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3]).lower()
