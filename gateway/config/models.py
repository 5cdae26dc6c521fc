"""The sections and keys of the YAML file; the string below a field is its entry in the reference."""

import sys
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from gateway.config import fields
from gateway.models import alerts
from gateway.models.addresses import is_server_url
from gateway.models.cached_answer import CacheScope
from gateway.models.exchange import PayloadPolicy


class Section(BaseModel):
    """A section of the file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class TokensConfig(Section):
    keys: tuple[fields.SigningSecret, ...] = ()
    """Secrets of at least 32 characters; the first signs, all are accepted; none: no tokens."""
    ttl_seconds: fields.Integer = Field(default=7 * 24 * 3600, ge=1, le=366 * 24 * 3600)
    """Seconds for which a token is valid."""
    rate_limit: fields.Integer = Field(default=30, ge=1, le=10_000)
    """Feedback entries a minute with one token, in each process."""
    allow_origins: tuple[fields.PageOrigin, ...] = ()
    """Origins whose pages may give feedback; `*`: all."""
    app_name: str | None = Field(default=None, min_length=1, max_length=80)
    """Name of your product, shown on the form."""

    @field_validator("keys")
    @classmethod
    def _check_distinct(cls, keys: tuple[fields.SigningSecret, ...]) -> tuple[fields.SigningSecret, ...]:
        if len(set(keys)) < len(keys):
            raise ValueError("must differ, but one is given twice")
        return keys


class FeedbackConfig(Section):
    portkey_scale: fields.PortkeyScale = "signed"
    """From Portkey values to scores. `signed`: value / 10. `thumbs`: 1 is good, 0 is bad."""
    orphan_window: fields.Number = Field(default=3600, ge=0, le=31_536_000)
    """Seconds for which Helicone feedback waits for a request whose id holds its time."""
    tokens: TokensConfig = Field(default_factory=TokensConfig)
    """Signed tokens for feedback without a key."""


MIB = 1024 * 1024


class ServerConfig(Section):
    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on."""
    port: fields.Integer = Field(default=8787, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    workers: fields.Integer = Field(default=1, ge=1, le=64)
    """Worker processes."""
    drain_seconds: fields.Number = Field(default=30, ge=0, le=3600)
    """Seconds that requests in flight have after SIGTERM."""
    auth: fields.AuthMode = "keys"
    """`keys`: callers need a key once one exists. `off`: no key is needed, on any address."""
    allowed_hosts: tuple[fields.HostName, ...] = ()
    """Host names, beside localhost, of a gateway without keys, and of pages that may call it."""
    allow_custom_hosts: tuple[fields.Origin, ...] = ()
    """Origins allowed in x-portkey-custom-host."""
    max_in_flight: fields.Integer | None = Field(default=5000, ge=1)
    """Proxied requests in flight in each process; more get 503. null: no limit."""
    read_timeout: fields.Seconds = 60
    """Seconds for the head of a client's first request, and between two pieces of a body."""
    commit_within: fields.Seconds = 15
    """Seconds that the beginning of an answer is held while it says nothing and a route has another target."""
    max_head_bytes: fields.Integer = Field(default=64 * 1024, ge=4096, le=MIB)
    """Longest request line or header field."""
    max_feedback_bytes: fields.Integer = Field(default=16 * MIB, ge=1024, le=256 * MIB)
    """Longest body for the gateway's own API."""


class StorageConfig(Section):
    url: fields.StoreUrl = "sqlite:///gateway.db"
    """The store: sqlite:///FILE, relative to the working directory; sqlite:////FILE, absolute; or
    postgresql://USER@HOST/DATABASE."""
    read_url: fields.StoreUrl | None = None
    """With PostgreSQL, a replica for queries, which may lag; null: the database itself."""
    local_dir: str = Field(default=".", min_length=1)
    """With PostgreSQL, the folder for the journal and exports; with SQLite they are beside the file."""
    durability: Literal["commit", "disk", "interval"] = "commit"
    """`commit`: a request survives `kill -9` before its response ends. `disk`: a power failure, too. `interval`:
    within 50 ms."""
    payloads: fields.Payloads = PayloadPolicy.FULL
    """How headers and bodies are kept: full, redacted or off."""
    max_body_bytes: fields.Integer = Field(default=16 * MIB, ge=0, le=256 * MIB)
    """How much of each body is kept."""
    on_store_failure: Literal["serve", "refuse"] = "serve"
    """When the store fails: serve while rows wait in the journal, or refuse requests."""
    journal_max_bytes: fields.Integer = Field(default=1024 * MIB, ge=MIB, le=1024 * 1024 * MIB)
    """Size of the journal at which rows are lost, or requests refused."""
    read_wait: fields.Number = Field(default=1, ge=0, le=60)
    """Seconds that a query waits for requests that ended before it and are not stored yet."""
    question_timeout: fields.Seconds = 30
    """Seconds that a query may take; then it gets 504."""
    retention_days: fields.Integer | None = Field(default=None, ge=1, le=36_500)
    """Whole days, in UTC, that requests and feedback are kept; null: for ever."""

    @field_validator("read_url")
    @classmethod
    def _check_read_url(cls, read_url: str | None, info: ValidationInfo) -> str | None:
        if read_url is not None and not (is_server_url(read_url) and is_server_url(info.data.get("url", ""))):
            raise ValueError("must be a replica of the PostgreSQL database that url names, or left out")
        return read_url


class TimeoutsConfig(Section):
    connect: fields.Seconds = 10
    """Seconds to connect, TLS included."""
    first_byte: fields.Seconds = 300
    """Seconds from the sent request to the response's head."""
    idle: fields.Seconds = 300
    """Seconds between two pieces of a body."""
    total: fields.Seconds | None = None
    """Seconds for the whole call; null: no limit."""


class ProviderConfig(Section):
    base_url: fields.HttpUrl
    """The base URL for the provider's SDK, such as https://api.openai.com/v1."""
    version_path: Literal["keep", "strip"] | None = None
    """Whether a version such as v1 in the caller's path is sent (`keep`) or left out (`strip`); null: by
    base_url."""
    api_key: fields.ProviderKey = None
    """Key for callers with a gateway key or none."""
    api_keys: tuple[fields.KeyValue, ...] = ()
    """Several keys in its place: the first that the provider does not refuse or limit is used."""
    auth: fields.Auth = "bearer"
    """How api_key is sent: as `Authorization: Bearer`, or in the header named here; `{header: NAME}`: any."""
    headers: fields.ProviderHeaders = Field(default_factory=dict)
    """Headers that replace the caller's."""
    timeouts: TimeoutsConfig = Field(default_factory=TimeoutsConfig)
    """Limits in seconds, by phase."""
    payloads: fields.Payloads | None = None
    """Overrides storage.payloads for this provider."""
    include_usage: bool = False
    """Request token counts in OpenAI streams whose callers did not."""
    websocket: bool = False
    """Relay WebSockets, such as OpenAI's realtime sessions; without it they get 426."""
    prices_as: str | None = None
    """The provider's name in the price library; default: by name or URL."""
    ca_file: str | None = None
    """PEM file of trusted certificates, in place of the system's; relative to the working directory."""
    max_connections: fields.Integer = Field(default=1000, ge=1, le=65535)
    """Most open connections."""
    keepalive_seconds: fields.Seconds = 30
    """Seconds that an idle connection is kept."""

    @field_validator("api_keys")
    @classmethod
    def _check_one_of_both(cls, keys: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        if keys and info.data.get("api_key") is not None:
            raise ValueError("must be left out where api_key is given")
        if len({key.get_secret_value() for key in keys}) < len(keys):
            raise ValueError("must differ from one another")
        return keys


class PriceConfig(Section):
    input: fields.Dollars
    """US dollars a million prompt tokens."""
    output: fields.Dollars
    """US dollars a million completion tokens."""
    cached: fields.Dollars | None = None
    """US dollars a million cached prompt tokens; default: input."""
    cache_write: fields.Dollars | None = None
    """US dollars a million prompt tokens written to the cache; default: input."""


class KeyConfig(Section):
    name: str = Field(min_length=1, max_length=128)
    """The key's name in logs and rows."""
    key: fields.KeyValue
    """The key, from the environment, or sha256: and 64 hex digits."""
    roles: fields.Roles = Field(alias="role", min_length=1)
    """proxy, feedback, read, review or admin, or a list of them."""
    tenant: str | None = Field(default=None, min_length=1, max_length=128)
    """Restricts the key to this tenant's rows."""
    limits: fields.LimitTexts = ()
    """Limits of requests, tokens or usd per minute, hour, day, week or month, such as [600 requests/minute, 25
    usd/month]."""
    payloads: fields.Payloads | None = None
    """Overrides storage.payloads for this key."""
    portkey_scale: fields.PortkeyScale | None = None
    """Overrides feedback.portkey_scale for this key."""
    route: str | None = None
    """Name of the route of its requests that name none."""


def is_human_format(style: str) -> bool:
    """Tell whether a `logging.format` is human on this terminal."""
    return style == "human" or (style == "auto" and sys.stderr.isatty())


class LoggingConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level written."""
    format: Literal["auto", "json", "human"] = "auto"
    """`auto`: human on a terminal, otherwise JSON lines."""
    requests: Literal["auto", "all", "failures", "off"] = "auto"
    """Logged requests: `all`, `failures` (status 500 and above, broken or late responses), `off`; `auto`:
    all with the human format, otherwise failures."""

    @property
    def access_mode(self) -> Literal["all", "failures", "off"]:
        if self.requests != "auto":
            return self.requests
        return "all" if is_human_format(self.format) else "failures"


class FeedbackReceiverConfig(Section):
    to: Literal["phoenix", "mlflow"] | None = None
    """Receiver of feedback by its own API: `phoenix` or `mlflow`; null: none."""
    url: fields.HttpUrl | None = None
    """Its base URL; null: telemetry.otlp_endpoint, with its headers."""
    headers: fields.Headers = Field(default_factory=dict)
    """Headers, such as a key; with url null, beside telemetry.headers."""
    project: str = Field(default="default", min_length=1)
    """For Phoenix: the project of the spans."""


class TelemetryConfig(Section):
    otlp_endpoint: fields.HttpUrl | None = None
    """Base URL of an OpenTelemetry collector for OTLP over HTTP, such as http://127.0.0.1:4318; null:
    none."""
    headers: fields.Headers = Field(default_factory=dict)
    """Headers, such as a key."""
    service_name: str = Field(default="gateway", min_length=1, max_length=128)
    """The gateway's service name."""
    payloads: bool = False
    """Send prompts, answers and comments of requests that are kept in full."""
    feedback: FeedbackReceiverConfig = Field(default_factory=FeedbackReceiverConfig)
    """Receiver of feedback."""

    @field_validator("feedback")
    @classmethod
    def _has_a_url(cls, feedback: FeedbackReceiverConfig, info: ValidationInfo) -> FeedbackReceiverConfig:
        endpoint = info.data.get("otlp_endpoint")
        if feedback.to is not None and feedback.url is None and endpoint is None:
            raise ValueError("must have url, or telemetry.otlp_endpoint must be given")
        return feedback


class AlertConfig(Section):
    name: str = Field(min_length=1, max_length=128)
    """The alert's name."""
    measure: alerts.Measure
    """What is watched."""
    above: fields.Number | None = None
    """Threshold; either this or `below`."""
    below: fields.Number | None = None
    """Likewise."""
    where: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Filters of requests."""
    group_by: str | None = None
    """Field whose values are watched one by one, such as metadata.team."""
    window: str | None = None
    """Time that a look is about, 5m to 31d; null: 1h, of feedback and cost 1d."""
    settle: str | None = None
    """Age from which requests count; null: 1m, of coverage and orphaned_feedback 1h."""
    min_count: fields.Integer | None = Field(default=None, ge=1, le=1_000_000)
    """Fewest requests or people; null: 20, 10."""
    test: alerts.AlertTest | None = None
    """Whether chance must be excluded; null: sequential where the measure allows it."""
    no_data: alerts.NoDataMode = alerts.NoDataMode.KEEP
    """What too few requests or people do."""
    renotify: str | None = None
    """Pause between reminders; null: none."""
    severity: alerts.Severity = alerts.Severity.WARNING
    """How bad it is."""
    description: str = Field(default="", max_length=2_000)
    """What to do about it."""
    enabled: bool = True
    """Whether it is looked at."""
    tenant: str | None = Field(default=None, min_length=1, max_length=128)
    """Whose requests are watched; null: all."""


class WebhookConfig(Section):
    name: str = Field(min_length=1, max_length=128)
    """Its name."""
    url: str
    """Where messages are sent: https://…; http:// only to hosts of webhooks.allow_internal."""
    secret: fields.WebhookSecret
    """Secret that signs, such as from `echo whsec_$(openssl rand -base64 32)`."""
    old_secret: fields.WebhookSecret | None = None
    """The secret before; signs too for as long as it is given."""
    events: tuple[str, ...] = Field(min_length=1)
    """Types of events, such as [feedback.created, request.logged]."""
    filters: dict[str, str] = Field(default_factory=dict)
    """Conditions on requests for request.logged, as the list of requests takes them."""
    include: tuple[Literal["texts"], ...] = ()
    """`texts`: question and answer, comments and edits too."""
    tenant: str | None = Field(default=None, min_length=1, max_length=128)
    """Restricts it to this tenant's events."""


class WebhooksConfig(Section):
    allow_internal: tuple[fields.HostOrNetwork, ...] = ()
    """Host names, addresses and networks (10.1.0.0/16) that webhooks may call though they are internal."""
    endpoints: tuple[WebhookConfig, ...] = ()
    """Endpoints, beside those that are made through API, pages and commands."""

    @field_validator("endpoints")
    @classmethod
    def _check_distinct(cls, endpoints: tuple[WebhookConfig, ...]) -> tuple[WebhookConfig, ...]:
        names = [each.name for each in endpoints]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"names must differ, but {twice!r} is given twice")
        return endpoints


class RuleConfig(Section):
    name: str = Field(min_length=1, max_length=128)
    """Its name."""
    filters: dict[str, str] = Field(default_factory=dict)
    """Conditions on requests, as their list takes them, without those on time."""
    sample: fields.Number = Field(default=1.0, gt=0, le=1)
    """Share of the matching requests."""
    label: str | None = Field(default=None, min_length=1, max_length=128)
    """Give feedback with this label."""
    review: bool = False
    """Put up for review."""
    webhook: str | None = None
    """Name of a webhook to notify."""
    dataset: str | None = None
    """Name of a dataset that collects, to add the request to."""
    delete_after_days: fields.Integer | None = Field(default=None, ge=1, le=36_500)
    """Delete the request so many days after its end; null: as all others."""
    keep_days: fields.Integer | None = Field(default=None, ge=1, le=36_500)
    """Keep the request so many days after its end, whatever `storage.retention_days` is."""
    tenant: str | None = Field(default=None, min_length=1, max_length=128)
    """Restricts it to this tenant's requests."""


class CacheConfig(Section):
    max_bytes: fields.Integer = Field(default=256 * MIB, ge=MIB, le=1024 * 1024 * MIB)
    """Size of all answers in the store; the oldest go first."""
    min_score: fields.Number = Field(default=0.0, ge=-1, le=1)
    """Feedback with a score below drops the answer that it is about, and lets its key rest for an hour."""
    scope: CacheScope = CacheScope.KEY
    """Whose requests share answers: those of a `key`, or of a `tenant`."""


class Config(Section):
    server: ServerConfig = Field(default_factory=ServerConfig)
    """How the gateway listens."""
    storage: StorageConfig = Field(default_factory=StorageConfig)
    """Where and how requests are stored."""
    providers: dict[fields.ProviderName, ProviderConfig] = Field(min_length=1)
    """Providers by name; at least one."""
    # After `providers`, which its validator reads.
    default_provider: str | None = None
    """Provider of /v1/… where the caller names none; default: the only one."""
    routes: dict[fields.RouteName, dict[str, Any]] = Field(default_factory=dict)
    """Routes by name, each a config in Portkey's language, as routing.md explains."""
    cache: CacheConfig = Field(default_factory=CacheConfig)
    """Answers that routes with a cache give again."""
    keys: tuple[KeyConfig, ...] = ()
    """Gateway keys; none: open on loopback."""
    prices: dict[str, PriceConfig] = Field(default_factory=dict)
    """Prices by model or provider/model, over the price library's."""
    feedback: FeedbackConfig = Field(default_factory=FeedbackConfig)
    """How feedback is read."""
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    """The gateway's log."""
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    """OpenTelemetry export."""
    alerts: tuple[AlertConfig, ...] = ()
    """Alerts, as alerts.md explains."""
    webhooks: WebhooksConfig = Field(default_factory=WebhooksConfig)
    """Messages to other systems when something is logged or said."""
    rules: tuple[RuleConfig, ...] = ()
    """What happens by itself to requests that match."""

    @field_validator("rules")
    @classmethod
    def _check_distinct_rules(cls, rules: tuple[RuleConfig, ...]) -> tuple[RuleConfig, ...]:
        names = [each.name for each in rules]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"names must differ, but {twice!r} is given twice")
        return rules

    @field_validator("default_provider")
    @classmethod
    def _check_default_provider(cls, name: str | None, info: ValidationInfo) -> str | None:
        providers = info.data.get("providers")
        if name is not None and providers is not None and name not in providers:
            raise ValueError(f"must be one of the providers: {', '.join(providers)}")
        return name

    @field_validator("keys")
    @classmethod
    def _check_distinct(cls, keys: tuple[KeyConfig, ...]) -> tuple[KeyConfig, ...]:
        for count, key in enumerate(keys):
            for earlier in keys[:count]:
                if key.name == earlier.name:
                    raise ValueError(f"names must differ, but {key.name!r} is given twice")
                if key.key == earlier.key:
                    raise ValueError(f"keys must differ, but {earlier.name!r} and {key.name!r} are the same")
        return keys

    @field_validator("keys")
    @classmethod
    def _check_routes(cls, keys: tuple[KeyConfig, ...], info: ValidationInfo) -> tuple[KeyConfig, ...]:
        routes = info.data.get("routes")
        for key in keys:
            if key.route is not None and routes is not None and key.route not in routes:
                known = ", ".join(routes) or "there are none"
                raise ValueError(f"route of {key.name!r} must be one of the routes: {known}")
        return keys
