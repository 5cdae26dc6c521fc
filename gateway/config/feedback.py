"""What the file may say of feedback."""

from __future__ import annotations

from pydantic import Field, field_validator

from gateway.config.fields import Integer, Number, PageOrigin, PortkeyScale, SigningSecret
from gateway.config.section import Section


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
        default=(),
        description="Origins whose pages may give feedback from a browser; `*`: all.",
    )

    @field_validator("keys")
    @classmethod
    def _differ(cls, keys: tuple[SigningSecret, ...]) -> tuple[SigningSecret, ...]:
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
