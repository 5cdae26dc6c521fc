"""Build the values that a configuration stands for; a reload builds them anew."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import lru_cache

from gateway.auth.api_keys import hash_token
from gateway.config.fields import SHA256_PREFIX
from gateway.config.models import Config, ProviderConfig
from gateway.errors import BadInput
from gateway.feedback.payloads import SCALES, KeyScales
from gateway.models.addresses import is_loopback
from gateway.models.exchange import PayloadPolicy, strictest_policy
from gateway.models.principal import Principal
from gateway.proxy.handler import LogPolicy
from gateway.recording.log_ingestion import LogPolicy as LogPolicyOf
from gateway.routing.plan import Router
from gateway.routing.providers import BaseUrlProblem, Provider, build_provider, find_problem
from gateway.store.base import Store
from gateway.telemetry import FeedbackExport, Reporter, open_feedback_export, open_reporter
from gateway.upstream.request import Timeouts
from gateway.wire.pricing import ConfiguredPrice, PriceTable

MIN_KEY_LENGTH = 16
"""Keys shorter than this, in characters, may be guessed."""


def build_router(config: Config) -> Router:
    """Return the router over the configured providers.

    Raises:
        GatewayError: a provider cannot be used as it is configured.
    """
    trust = ssl.create_default_context()
    providers = {name: _build_provider(name, provider, trust) for name, provider in config.providers.items()}
    only = next(iter(providers)) if len(providers) == 1 else None
    return Router(
        providers,
        config.default_provider or only,
        config.server.allow_custom_hosts,
        lambda base_url: build_provider("custom", base_url, tls=trust),
    )


def configured_principals(config: Config) -> dict[str, Principal]:
    """Return the configured callers by the SHA-256 of their keys."""
    principals = {}
    for key in config.keys:
        token = key.key.get_secret_value()
        digest = token.removeprefix(SHA256_PREFIX) if token.startswith(SHA256_PREFIX) else hash_token(token)
        principals[digest] = Principal(key.name, key.roles, key.tenant, limits=key.limits)
    return principals


def build_payload_policy(config: Config) -> LogPolicy:
    """Return the stricter of the policies of a key and a provider, or the default where neither has one."""
    by_key = {key.name: key.payloads for key in config.keys}

    # Asked for each request, and there are few keys and providers.
    @lru_cache(1024)
    def policy_of(key_name: str | None, by_provider: PayloadPolicy | None) -> PayloadPolicy:
        by_caller = by_key.get(key_name or "")
        if by_caller is None or by_provider is None:
            return by_caller or by_provider or config.storage.payloads
        return strictest_policy((by_caller, by_provider))

    return policy_of


def build_log_policy(config: Config) -> LogPolicyOf:
    """Return what tells how much is kept of a request that went elsewhere, by the same rule. A provider that is
    not configured says nothing."""
    policy_of = build_payload_policy(config)
    by_provider = {name: provider.payloads for name, provider in config.providers.items()}
    return lambda principal, provider: policy_of(principal.name, by_provider.get(provider))


def build_provider_policy(config: Config) -> Callable[[str], PayloadPolicy]:
    """Return what tells how much is kept of the requests of a provider, by its name, whoever makes them."""
    by_provider = {name: provider.payloads for name, provider in config.providers.items()}
    return lambda name: by_provider.get(name) or config.storage.payloads


def max_loss_seconds(config: Config) -> float:
    """Return of how long requests may be lost if the process is killed: `interval` promises 50 ms."""
    return {"commit": 0.0, "interval": 0.05}[config.storage.durability]


def build_key_scales(config: Config) -> KeyScales:
    """Return the scales of Portkey values."""
    by_key = {key.name: SCALES[key.portkey_scale] for key in config.keys if key.portkey_scale}
    return KeyScales(SCALES[config.feedback.portkey_scale], by_key)


def build_price_table(config: Config) -> PriceTable:
    """Return the price table with the configuration's prices over those of the library."""
    rates = {
        name: ConfiguredPrice(price.input, price.output, price.cached, price.cache_write)
        for name, price in config.prices.items()
    }
    prices_as = {name: p.prices_as for name, p in config.providers.items() if p.prices_as is not None}
    return PriceTable(rates, prices_as)


def build_base_url_lookup(config: Config) -> Callable[[str], str | None]:
    """Return what tells a provider's base URL by its name. One that is not configured may be named by its
    host."""
    urls = {name: provider.base_url for name, provider in config.providers.items()}
    return lambda name: urls.get(name, f"https://{name}")


def config_warnings(config: Config) -> list[tuple[str, BaseUrlProblem]]:
    """Return what is wrong with a configuration that can be used all the same, each with the path of its field."""
    found = (
        (f"providers.{name}.base_url", find_problem(each.base_url, each.version_path))
        for name, each in config.providers.items()
    )
    return [*access_warnings(config), *((field, fault) for field, fault in found if fault is not None)]


def access_warnings(config: Config) -> list[tuple[str, BaseUrlProblem]]:
    """Return what lets in callers that nobody may have meant to let in, each with the path of its field."""
    if config.server.auth == "off":
        host = config.server.host
        fault = BaseUrlProblem(
            f"is off, and {host} can be reached from other machines.",
            "Make sure that something else keeps strangers out, or make keys.",
        )
        return [] if is_loopback(host) else [("server.auth", fault)]
    tokens = ((key.name, key.key.get_secret_value()) for key in config.keys)
    return [
        (
            f"keys.{name}.key",
            BaseUrlProblem(
                f"has {len(token)} characters, and may be guessed.",
                "Let `gateway keys create` make one, or `openssl rand -hex 32`.",
            ),
        )
        for name, token in tokens
        if not token.startswith(SHA256_PREFIX) and len(token) < MIN_KEY_LENGTH
    ]


def require_keys(config: Config) -> None:
    """Raise BadInput where strangers could come in, given that there is no key. To be called if there is none."""
    server = config.server
    if server.auth != "off" and not is_loopback(server.host):
        raise BadInput(
            f"{server.host} can be reached from other machines, but no keys are configured.",
            field="server.host",
            hint="Add keys, make one with `gateway keys create`, or say `auth: off` under server.",
        )


def build_reporter(config: Config) -> Reporter:
    """Return what tells OpenTelemetry. Raises BadInput where the packages for that are not installed."""
    telemetry = config.telemetry
    # Those who take feedback by an API of their own do not take it as events.
    is_its_own = telemetry.feedback.to is not None and telemetry.feedback.url is None
    return open_reporter(
        telemetry.otlp_endpoint,
        telemetry.headers,
        telemetry.service_name,
        has_messages=telemetry.payloads,
        has_events=not is_its_own,
    )


def build_feedback_export(config: Config, store: Store) -> FeedbackExport | None:
    """Return what brings feedback to where the traces are shown; None where nobody is to have it."""
    telemetry, to = config.telemetry, config.telemetry.feedback
    url = to.url or telemetry.otlp_endpoint
    if to.to is None or url is None:
        return None
    headers = {**(telemetry.headers if to.url is None else {}), **to.headers}
    return open_feedback_export(to.to, url, headers, to.project, store, has_text=telemetry.payloads)


def _build_provider(name: str, config: ProviderConfig, trust: ssl.SSLContext) -> Provider:
    timeouts = config.timeouts
    return build_provider(
        name,
        config.base_url,
        tls=trust if config.ca_file is None else _load_trust(name, config.ca_file),
        version_path=config.version_path,
        api_key=None if config.api_key is None else config.api_key.get_secret_value(),
        auth=config.auth,
        headers=config.headers,
        timeouts=Timeouts(timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total),
        payloads=config.payloads,
        include_usage=config.include_usage,
        max_connections=config.max_connections,
        keepalive_seconds=config.keepalive_seconds,
    )


def _load_trust(name: str, ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise BadInput(
            f"{ca_file} cannot be used: {(error.strerror or str(error)).lower()}.",
            field=f"providers.{name}.ca_file",
            hint="It must hold certificates in PEM, and be readable.",
        ) from error
