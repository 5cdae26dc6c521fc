"""Runtime: what a configuration means, as one frozen value that a reload replaces."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.alerts.declared import Declared
from gateway.alerts.definition import rules_of_file
from gateway.alerts.destinations import Destinations
from gateway.alerts.rules import DeclaredRule, RuleSettings, check_rule
from gateway.alerts.webhooks import DeclaredWebhook, WebhookSettings, check_settings
from gateway.auth.allowed_hosts import AllowedHosts
from gateway.auth.api_keys import hash_token
from gateway.auth.feedback_tokens import TokenKeys
from gateway.config.fields import SHA256_PREFIX
from gateway.config.models import Config, ProviderConfig
from gateway.errors import BadInput
from gateway.feedback.payloads import SCALES, KeyScales
from gateway.feedback.service import FeedbackSettings
from gateway.models.addresses import is_loopback
from gateway.models.alerts import AlertRule
from gateway.models.cached_answer import CacheSettings
from gateway.models.exchange import PayloadPolicy, strictest_policy
from gateway.models.principal import Principal
from gateway.models.route import Route
from gateway.proxy.handler import LogPolicy, ProxySettings
from gateway.recording.log_ingestion import LogPolicy as IngestionPolicy
from gateway.routing.plan import Router
from gateway.routing.portkey_config import parse_config
from gateway.routing.providers import BaseUrlProblem, Provider, build_provider, find_problem
from gateway.routing.route_table import RouteTable, check_targets
from gateway.store.base import Store
from gateway.telemetry import FeedbackExport, Reporter, open_feedback_export, open_reporter
from gateway.upstream.request import Timeouts
from gateway.wire.pricing import ConfiguredPrice, PriceTable

# In characters; a shorter key can be guessed.
MIN_KEY_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything derived from a configuration that a reload may change."""

    config: Config
    proxy: ProxySettings
    # How much is kept of requests that were made elsewhere.
    log_policy: IngestionPolicy
    # By the SHA-256 of the key.
    principals: Mapping[str, Principal]
    allowed_hosts: AllowedHosts
    token_keys: TokenKeys | None
    feedback: FeedbackSettings
    alerts: tuple[AlertRule, ...]
    # What webhooks may call, and those of the file by name.
    destinations: Destinations
    webhooks: Mapping[str, DeclaredWebhook]
    rules: Mapping[str, DeclaredRule]
    cache: CacheSettings


def build_runtime(config: Config) -> Runtime:
    """Return what a configuration means.

    Raises:
        GatewayError: a provider cannot be used as it is configured.
        OSError: a certificate file cannot be read.
    """
    policy = _payload_policy(config)
    by_provider = {name: provider.payloads for name, provider in config.providers.items()}
    scales = {key.name: SCALES[key.portkey_scale] for key in config.keys if key.portkey_scale}
    default_scale = SCALES[config.feedback.portkey_scale]
    tokens = config.feedback.tokens
    secrets = [key.get_secret_value() for key in tokens.keys]
    return Runtime(
        config,
        ProxySettings(
            build_router(config),
            build_routes(config),
            policy,
            config.server.max_in_flight,
            config.server.read_timeout,
            config.server.commit_within,
        ),
        log_policy=lambda principal, name: policy(principal.name, by_provider.get(name)),
        principals=_principals(config),
        allowed_hosts=AllowedHosts(config.server.allowed_hosts),
        token_keys=TokenKeys.from_secrets(secrets, tokens.ttl_seconds),
        feedback=FeedbackSettings(config.feedback.orphan_window, KeyScales(default_scale, scales)),
        alerts=build_alert_rules(config),
        destinations=Destinations(config.webhooks.allow_internal),
        webhooks=_declared_webhooks(config),
        rules=_declared_rules(config),
        cache=CacheSettings(config.cache.max_bytes, config.cache.min_score, config.cache.scope),
    )


def _declared_rules(config: Config) -> dict[str, DeclaredRule]:
    declared: dict[str, DeclaredRule] = {}
    for place, each in enumerate(config.rules):
        settings = RuleSettings(**each.model_dump(exclude={"name", "tenant"}))
        try:
            check_rule(settings)
        except BadInput as error:
            field = f"rules[{place}].{error.field}"
            raise BadInput(error.message, field=field, hint=error.hint) from error
        declared[each.name] = Declared(each.tenant, settings)
    return declared


def _declared_webhooks(config: Config) -> dict[str, DeclaredWebhook]:
    destinations = Destinations(config.webhooks.allow_internal)
    declared: dict[str, DeclaredWebhook] = {}
    for place, each in enumerate(config.webhooks.endpoints):
        old = each.old_secret
        settings = WebhookSettings(
            name=each.name, url=each.url, events=each.events, filters=each.filters, include=each.include,
            secret=each.secret.get_secret_value(), old_secret=None if old is None else old.get_secret_value(),
        )  # fmt: skip
        try:
            check_settings(settings)
            destinations.check_unresolved(each.url)
        except BadInput as error:
            field = f"webhooks.endpoints[{place}].{error.field}"
            raise BadInput(error.message, field=field, hint=error.hint) from error
        declared[each.name] = Declared(each.tenant, settings)
    return declared


# What of these sections a reload replaces; the rest takes a restart.
_RELOADABLE_FIELDS = {
    "server": {
        "allowed_hosts",
        "allow_custom_hosts",
        "commit_within",
        "drain_seconds",
        "max_in_flight",
        "read_timeout",
    },
    "storage": {"payloads", "retention_days"},
}


def restart_only_changes(started: Config, new: Config) -> list[str]:
    """Return the keys in which two configurations differ and that a reload does not change."""
    sections = ((name, getattr(started, name), getattr(new, name)) for name in _RELOADABLE_FIELDS)
    keys = [
        f"{name}.{key}"
        for name, before, after in sections
        for key in type(after).model_fields
        if key not in _RELOADABLE_FIELDS[name] and getattr(before, key) != getattr(after, key)
    ]
    return keys + [name for name in ("prices", "telemetry") if getattr(started, name) != getattr(new, name)]


def build_router(config: Config) -> Router:
    """Return the router over the configured providers. Raises what `build_runtime` does."""
    trust = ssl.create_default_context()
    providers = {name: _build_provider(name, provider, trust) for name, provider in config.providers.items()}
    default = config.default_provider or (next(iter(providers)) if len(providers) == 1 else None)
    hosts = config.server.allow_custom_hosts
    return Router(providers, default, hosts, lambda url: build_provider("custom", url, tls=trust))


def build_alert_rules(config: Config) -> tuple[AlertRule, ...]:
    """Return the alerts of the file. Raises BadInput."""
    given = (alert.model_dump(mode="json", exclude={"tenant"}) for alert in config.alerts)
    return rules_of_file([(fields, alert.tenant) for fields, alert in zip(given, config.alerts, strict=True)])


def build_routes(config: Config) -> RouteTable:
    """Return the routes of the file. Raises BadInput or Forbidden by the path of what cannot be used."""
    hosts = config.server.allow_custom_hosts
    routes: dict[str, Route] = {}
    for name, given in config.routes.items():
        field = f"routes.{name}"
        routes[name] = replace(parse_config(given, field), name=name)
        check_targets(routes[name], config.providers, hosts, field)
    of_keys = {key.name: key.route for key in config.keys if key.route is not None}
    return RouteTable(routes, of_keys, config.providers, hosts)


def build_provider_policy(config: Config) -> Callable[[str], PayloadPolicy]:
    """Return how much is kept of the requests of a provider by its name, for all keys."""
    by_provider = {name: provider.payloads for name, provider in config.providers.items()}
    return lambda name: by_provider.get(name) or config.storage.payloads


def build_price_table(config: Config) -> PriceTable:
    return PriceTable(configured_rates(config), prices_as(config))


def configured_rates(config: Config) -> dict[str, ConfiguredPrice]:
    return {
        name: ConfiguredPrice(price.input, price.output, price.cached, price.cache_write)
        for name, price in config.prices.items()
    }


def prices_as(config: Config) -> dict[str, str]:
    return {name: p.prices_as for name, p in config.providers.items() if p.prices_as is not None}


def build_base_url_lookup(config: Config) -> Callable[[str], str | None]:
    urls = {name: provider.base_url for name, provider in config.providers.items()}
    # Log imports may call a provider by its host.
    return lambda name: urls.get(name, f"https://{name}")


def config_warnings(config: Config) -> list[tuple[str, BaseUrlProblem]]:
    """Return what is doubtful in a usable configuration, each with the path of its field."""
    found = (
        (f"providers.{name}.base_url", find_problem(each.base_url, each.version_path))
        for name, each in config.providers.items()
    )
    routes = (warning for route in build_routes(config).routes.values() for warning in route.warnings)
    return [
        *access_warnings(config),
        *((field, fault) for field, fault in found if fault is not None),
        *((warning.field, BaseUrlProblem(warning.message, "")) for warning in routes),
    ]


def access_warnings(config: Config) -> list[tuple[str, BaseUrlProblem]]:
    """Return what may let strangers in, each with the path of its field."""
    if config.server.auth == "off":
        host = config.server.host
        doubt = f"is off, and {host} can be reached from other machines."
        fix = "Make sure that something else keeps strangers out, or make keys."
        return [] if is_loopback(host) else [("server.auth", BaseUrlProblem(doubt, fix))]
    tokens = ((key.name, key.key.get_secret_value()) for key in config.keys)
    fix = "Let `gateway keys create` make one, or `openssl rand -hex 32`."
    return [
        (f"keys.{name}.key", BaseUrlProblem(f"has {len(token)} characters, and may be guessed.", fix))
        for name, token in tokens
        if not token.startswith(SHA256_PREFIX) and len(token) < MIN_KEY_LENGTH
    ]


def require_keys(config: Config) -> None:
    """Raise BadInput where a gateway without any key could be reached by strangers."""
    server = config.server
    if server.auth != "off" and not is_loopback(server.host):
        fault = f"{server.host} can be reached from other machines, but no keys are configured."
        fix = "Add keys, make one with `gateway keys create`, or say `auth: off` under server."
        raise BadInput(fault, field="server.host", hint=fix)


def build_reporter(config: Config) -> Reporter:
    """Return the OpenTelemetry reporter. Raises BadInput where its packages are not installed."""
    otel = config.telemetry
    # A receiver with a feedback API of its own would show feedback twice if it came as events too.
    has_events = otel.feedback.to is None or otel.feedback.url is not None
    return open_reporter(
        otel.otlp_endpoint, otel.headers, otel.service_name, has_messages=otel.payloads, has_events=has_events
    )


def build_feedback_export(config: Config, store: Store) -> FeedbackExport | None:
    """Return the export of feedback to where traces are shown; None if none is configured."""
    telemetry, to = config.telemetry, config.telemetry.feedback
    url = to.url or telemetry.otlp_endpoint
    if to.to is None or url is None:
        return None
    headers = {**(telemetry.headers if to.url is None else {}), **to.headers}
    return open_feedback_export(to.to, url, headers, to.project, store, has_text=telemetry.payloads)


def _principals(config: Config) -> dict[str, Principal]:
    principals = {}
    for key in config.keys:
        token = key.key.get_secret_value()
        digest = token.removeprefix(SHA256_PREFIX) if token.startswith(SHA256_PREFIX) else hash_token(token)
        principals[digest] = Principal(key.name, key.roles, key.tenant, limits=key.limits)
    return principals


def _payload_policy(config: Config) -> LogPolicy:
    """Return the rule: the stricter of what key and provider say, the default where neither does."""
    by_key = {key.name: key.payloads for key in config.keys}

    # Called for each request, and there are few keys and providers.
    @lru_cache(1024)
    def policy_of(key_name: str | None, by_provider: PayloadPolicy | None) -> PayloadPolicy:
        by_caller = by_key.get(key_name or "")
        if by_caller is None or by_provider is None:
            return by_caller or by_provider or config.storage.payloads
        return strictest_policy((by_caller, by_provider))

    return policy_of


def _build_provider(name: str, config: ProviderConfig, trust: ssl.SSLContext) -> Provider:
    timeouts = config.timeouts
    keys = config.api_keys if config.api_key is None else (config.api_key,)
    return build_provider(
        name,
        config.base_url,
        tls=trust if config.ca_file is None else _load_trust(name, config.ca_file),
        version_path=config.version_path,
        api_keys=[key.get_secret_value() for key in keys],
        auth=config.auth,
        headers=config.headers,
        timeouts=Timeouts(timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total),
        payloads=config.payloads,
        include_usage=config.include_usage,
        websocket=config.websocket,
        max_connections=config.max_connections,
        keepalive_seconds=config.keepalive_seconds,
    )


def _load_trust(name: str, ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        fault = f"{ca_file} cannot be used: {(error.strerror or str(error)).lower()}."
        fix = "It must hold certificates in PEM, and be readable."
        raise BadInput(fault, field=f"providers.{name}.ca_file", hint=fix) from error
