"""The sections and keys of the YAML file; each field's description is its entry in the reference."""

from __future__ import annotations

import sys
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from gateway.config.fields import (
    Auth,
    AuthMode,
    Dollars,
    Headers,
    HostName,
    HttpUrl,
    Integer,
    KeyValue,
    LimitTexts,
    NoRoutes,
    Number,
    Origin,
    PageOrigin,
    Payloads,
    PortkeyScale,
    ProviderHeaders,
    ProviderKey,
    ProviderName,
    Roles,
    Seconds,
    SigningSecret,
    StoreUrl,
)
from gateway.models.addresses import is_server_url
from gateway.models.exchange import PayloadPolicy


class Section(BaseModel):
    """A part of the file. Each field's description is its reference entry."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class TokensConfig(Section):
    keys: tuple[SigningSecret, ...] = Field(
        default=(),
        description="Secrets of at least 32 characters; the first signs, all are taken; none: no tokens.",
    )
    ttl_seconds: Integer = Field(
        default=7 * 24 * 3600, ge=1, le=366 * 24 * 3600, description="How long a token can be used."
    )
    rate_limit: Integer = Field(
        default=30,
        ge=1,
        le=10_000,
        description="How many votes a minute may be given with one token, in each process.",
    )
    allow_origins: tuple[PageOrigin, ...] = Field(
        default=(), description="Origins whose pages may give feedback from a browser; `*`: all."
    )

    @field_validator("keys")
    @classmethod
    def _check_distinct(cls, keys: tuple[SigningSecret, ...]) -> tuple[SigningSecret, ...]:
        if len(set(keys)) < len(keys):
            raise ValueError("must differ, but one is given twice")
        return keys


class FeedbackConfig(Section):
    portkey_scale: PortkeyScale = Field(
        default="signed",
        description="How Portkey values become scores. `signed`: value / 10. `thumbs`: 1 is good, 0 is bad.",
    )
    orphan_window: Number = Field(
        default=3600,
        ge=0,
        le=31_536_000,
        description="Seconds for which Helicone feedback waits for an unknown request whose id tells its age.",
    )
    tokens: TokensConfig = Field(
        default_factory=TokensConfig, description="Signed tokens, to give feedback without a key."
    )


MIB = 1024 * 1024


class ServerConfig(Section):
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: Integer = Field(default=8787, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: Integer = Field(default=1, ge=1, le=64, description="Number of processes that serve.")
    drain_seconds: Number = Field(
        default=30, ge=0, le=3600, description="On SIGTERM, how long requests in flight may take to finish."
    )
    auth: AuthMode = Field(
        default="keys",
        description="`keys`: callers need a key once one exists. `off`: nobody needs one, on any address.",
    )
    allowed_hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Names, beside localhost, under which a gateway without keys may be called, and whose pages "
        "may call it.",
    )
    allow_custom_hosts: tuple[Origin, ...] = Field(
        default=(), description="Origins that a caller may name in x-portkey-custom-host."
    )
    max_in_flight: Integer | None = Field(
        default=5000,
        ge=1,
        description="Proxied requests that each process has under way at most; more are refused with 503. "
        "null: no limit.",
    )
    read_timeout: Seconds = Field(
        default=60,
        description="Seconds that a caller may take for the head of its first request, and for each further "
        "piece of a body.",
    )
    max_head_bytes: Integer = Field(
        default=64 * 1024, ge=4096, le=MIB, description="Longest request line or header field taken."
    )
    max_feedback_bytes: Integer = Field(
        default=16 * MIB, ge=1024, le=256 * MIB, description="Longest body taken by the gateway's own API."
    )


class StorageConfig(Section):
    url: StoreUrl = Field(
        default="sqlite:///gateway.db",
        description="Where everything is kept: sqlite:///FILE, relative to the working directory, "
        "or sqlite:////FILE from the root; or postgresql://USER@HOST/DATABASE.",
    )
    read_url: StoreUrl | None = Field(
        default=None,
        description="With PostgreSQL, a replica that answers queries and may lag behind; null: the database does.",
    )
    local_dir: str = Field(
        default=".",
        min_length=1,
        description="With PostgreSQL, the folder for rows that it did not take and files of exports.",
    )
    durability: Literal["commit", "interval"] = Field(
        default="commit",
        description="`commit`: a request is in the store before its response ends. `interval`: within 50 ms.",
    )
    payloads: Payloads = Field(
        default=PayloadPolicy.FULL, description="What of headers and bodies is kept: full, redacted or off."
    )
    max_body_bytes: Integer = Field(
        default=16 * MIB,
        ge=0,
        le=256 * MIB,
        description="How much of each body is kept; longer ones are cut in the log.",
    )
    on_store_failure: Literal["serve", "refuse"] = Field(
        default="serve",
        description="When the store fails: serve and keep rows in a file beside it, or refuse requests.",
    )
    question_timeout: Seconds = Field(
        default=30,
        description="Seconds that a list, a search or figures may take; then they are ended, with 504.",
    )
    retention_days: Integer | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="How many whole days, in UTC, requests and their feedback are kept; null: for ever.",
    )

    @field_validator("read_url")
    @classmethod
    def _check_read_url(cls, read_url: str | None, info: ValidationInfo) -> str | None:
        if read_url is not None and not (is_server_url(read_url) and is_server_url(info.data.get("url", ""))):
            raise ValueError("must be a replica of the PostgreSQL database that url names, or left out")
        return read_url


class TimeoutsConfig(Section):
    connect: Seconds = Field(default=10, description="Seconds to connect, TLS included.")
    first_byte: Seconds = Field(
        default=300, description="Seconds from the request sent to the response's head."
    )
    idle: Seconds = Field(default=300, description="Seconds between two pieces of a body.")
    total: Seconds | None = Field(default=None, description="Seconds for the whole call; null: no limit.")


class ProviderConfig(Section):
    base_url: HttpUrl = Field(
        description="The URL that the provider's SDK would be given, such as https://api.openai.com/v1."
    )
    version_path: Literal["keep", "strip"] | None = Field(
        default=None,
        description="What becomes of a version such as v1 ahead of a caller's path: sent on (`keep`) or left out "
        "(`strip`) whatever base_url is; null: told by base_url.",
    )
    api_key: ProviderKey = Field(
        default=None,
        description="Key sent upstream for callers that came in with a gateway key, or with none.",
    )
    auth: Auth = Field(
        default="bearer",
        description="How api_key is sent: as `Authorization: Bearer`, or in the header that is named here; "
        "`{header: NAME}` names any.",
    )
    headers: ProviderHeaders = Field(
        default_factory=dict, description="Headers of each request upstream, in place of the caller's."
    )
    timeouts: TimeoutsConfig = Field(
        default_factory=TimeoutsConfig, description="Limits in seconds, by phase."
    )
    payloads: Payloads | None = Field(
        default=None, description="Overrides storage.payloads for this provider."
    )
    include_usage: bool = Field(
        default=False,
        description="Ask for token counts in streams of OpenAI's completions whose callers did not.",
    )
    prices_as: str | None = Field(
        default=None,
        description="Name under which the price library knows this provider; default: found by name or URL.",
    )
    ca_file: str | None = Field(
        default=None,
        description="PEM file of certificates to trust instead of the system's; relative to the "
        "working directory.",
    )
    max_connections: Integer = Field(
        default=1000, ge=1, le=65535, description="Most connections open to it at a time."
    )
    keepalive_seconds: Seconds = Field(
        default=30, description="How long an idle connection is kept for reuse."
    )


class PriceConfig(Section):
    input: Dollars = Field(description="US dollars a million prompt tokens.")
    output: Dollars = Field(description="US dollars a million completion tokens.")
    cached: Dollars | None = Field(
        default=None, description="US dollars a million cached prompt tokens; default: input."
    )
    cache_write: Dollars | None = Field(
        default=None, description="US dollars a million prompt tokens written to the cache; default: input."
    )


class KeyConfig(Section):
    name: str = Field(min_length=1, max_length=128, description="What the key is called in logs and rows.")
    key: KeyValue = Field(description="The key itself, from the environment, or sha256: and 64 hex digits.")
    roles: Roles = Field(
        alias="role", min_length=1, description="proxy, feedback, read or admin, or a list of them."
    )
    tenant: str | None = Field(
        default=None, min_length=1, max_length=128, description="Whose rows alone the key sees."
    )
    limits: LimitTexts = Field(
        default=(),
        description="How many requests, tokens or usd it may use per minute, hour, day or month, such as "
        "[600 requests/minute, 25 usd/month].",
    )
    payloads: Payloads | None = Field(default=None, description="Overrides storage.payloads for this key.")
    portkey_scale: PortkeyScale | None = Field(
        default=None, description="Overrides feedback.portkey_scale for this key."
    )


def is_human_format(style: str) -> bool:
    """Tell whether log lines of this `logging.format` are laid out for people."""
    return style == "human" or (style == "auto" and sys.stderr.isatty())


class LoggingConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe lines written."
    )
    format: Literal["auto", "json", "human"] = Field(
        default="auto", description="`auto`: for people on a terminal, JSON lines otherwise."
    )
    requests: Literal["auto", "all", "failures", "off"] = Field(
        default="auto",
        description="Which requests get a line: `all`, `failures` (status 500 and above, broken or late answers), "
        "`off`; `auto`: all where lines are for people, failures otherwise.",
    )

    @property
    def access_mode(self) -> Literal["all", "failures", "off"]:
        """Which requests get a line."""
        if self.requests != "auto":
            return self.requests
        return "all" if is_human_format(self.format) else "failures"


class FeedbackReceiverConfig(Section):
    to: Literal["phoenix", "mlflow"] | None = Field(
        default=None,
        description="What shows the traces, and is told of feedback by its own API: `phoenix` or `mlflow`; "
        "null: none.",
    )
    url: HttpUrl | None = Field(
        default=None, description="Its base URL; null: telemetry.otlp_endpoint, with its headers."
    )
    headers: Headers = Field(
        default_factory=dict,
        description="Headers that it wants, such as a key; with url null, beside telemetry.headers.",
    )
    project: str = Field(
        default="default", min_length=1, description="For Phoenix: the project that the spans are in."
    )


class TelemetryConfig(Section):
    otlp_endpoint: HttpUrl | None = Field(
        default=None,
        description="Base URL of an OpenTelemetry collector that takes OTLP over HTTP, such as "
        "http://127.0.0.1:4318; null: nobody is told.",
    )
    headers: Headers = Field(default_factory=dict, description="Headers that it wants, such as a key.")
    service_name: str = Field(
        default="gateway", min_length=1, max_length=128, description="What this gateway is called there."
    )
    payloads: bool = Field(
        default=False,
        description="Whether prompts, answers and comments are told as well, of requests that are kept in full.",
    )
    feedback: FeedbackReceiverConfig = Field(
        default_factory=FeedbackReceiverConfig, description="Who is told of feedback beside the traces."
    )

    @field_validator("feedback")
    @classmethod
    def _has_a_url(cls, feedback: FeedbackReceiverConfig, info: ValidationInfo) -> FeedbackReceiverConfig:
        endpoint = info.data.get("otlp_endpoint")
        if feedback.to is not None and feedback.url is None and endpoint is None:
            raise ValueError("must have url, or telemetry.otlp_endpoint must be given")
        return feedback


class Config(Section):
    server: ServerConfig = Field(default_factory=ServerConfig, description="How the gateway listens.")
    storage: StorageConfig = Field(
        default_factory=StorageConfig, description="Where and how calls are logged."
    )
    providers: dict[ProviderName, ProviderConfig] = Field(
        min_length=1, description="Upstreams by name; at least one."
    )
    # After `providers`, which its validator looks at.
    default_provider: str | None = Field(
        default=None,
        description="Provider of /v1/… where the caller names none; default: the only one there is.",
    )
    routes: NoRoutes = Field(default_factory=dict, description="Must be empty: this version has no routes.")
    keys: tuple[KeyConfig, ...] = Field(default=(), description="Gateway keys; none: open on loopback.")
    prices: dict[str, PriceConfig] = Field(
        default_factory=dict,
        description="Prices by model or provider/model, over those of the price library.",
    )
    feedback: FeedbackConfig = Field(
        default_factory=FeedbackConfig, description="How feedback is understood."
    )
    logging: LoggingConfig = Field(
        default_factory=LoggingConfig, description="What the gateway says of itself."
    )
    telemetry: TelemetryConfig = Field(
        default_factory=TelemetryConfig, description="What is told to OpenTelemetry."
    )

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
