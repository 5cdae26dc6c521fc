"""Provider: a configured upstream, and how a path is joined to its base URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.domain.credentials import PROVIDER_HEADERS, is_secret_header
from gateway.domain.exchange import PayloadPolicy
from gateway.domain.value import value
from gateway.upstream.message import Origin, Timeouts

VersionPath = Literal["keep", "strip"]
"""What is done with a version in a caller's path, whatever the base URL: sent on, or left out."""

VERSION = r"v[0-9]+(?:\.[0-9]+)*(?:p[0-9]+)?(?:(?:alpha|beta)[0-9]*)?"
"""Pattern of a path segment that is a version: `v1`, `v4`, `v1.1`, `v1beta`, `v1alpha2`, `v1p1beta1`."""

_CREDENTIAL_NAMES = frozenset(name.lower().encode() for name in PROVIDER_HEADERS)

_VERSIONS_AHEAD = re.compile(rf"(?:(/{VERSION})(?=[/?]|\Z))+")
"""Versions at the head of a path; the group is the last of them."""


@dataclass(frozen=True, slots=True)
class BasePath:
    """The path of a base URL, and what becomes of a version ahead of what is asked for there. Made by `of`.

    Args:
        path: without a trailing slash, such as `/v1`; may be empty.
        version_path: the provider's own rule; None: what `join` says.
        under_v1: what `/v1` becomes ahead of a path with no other version; None where that varies.
        dropped: versions, such as `/v1`, that are not sent on.
        is_distinct: whether what begins with the whole path is complete: one of several names, with a version.
    """

    path: str
    version_path: VersionPath | None
    under_v1: str | None
    dropped: frozenset[str]
    is_distinct: bool

    @classmethod
    def of(cls, path: str, version_path: VersionPath | None = None) -> BasePath:
        """Return what joins to `path`, a URL's path as it was written."""
        path = path.rstrip("/")
        is_sent_on = version_path == "keep" or (version_path is None and not path)
        names = path.split("/")[1:]
        return cls(
            path,
            version_path,
            under_v1=path + "/v1" if is_sent_on else None if path.startswith("/v1/") else path,
            dropped=frozenset({"/v1", *("/" + name for name in names[-1:])}) if path else frozenset(),
            is_distinct=len(names) > 1 and any(re.fullmatch(VERSION, name) for name in names),
        )

    def join(self, asked: str) -> str:
        """Return the request target for a path and query: `/…` below the provider's name, or all of `/v1/…`.

        A version at its head is sent on if the base URL is a bare host, and left out if the base URL ends in
        the same; `v1` is left out behind any path, another version is appended. Of several the last counts.
        """
        if (
            asked[:4] == "/v1/"
            and self.under_v1 is not None
            and (asked[4:5] != "v" or not _VERSIONS_AHEAD.match(asked, 3))
        ):
            return self.under_v1 + asked[3:]
        target = self.path + (asked if self.version_path == "keep" else self._below(asked))
        return target if target[:1] == "/" else "/" + target

    def _below(self, asked: str) -> str:
        if self.is_distinct and asked.startswith(self.path):
            # A client that was given the whole URL, with the gateway in the host's place.
            rest = asked[len(self.path) :]
            asked = rest if rest[:1] in ("", "/", "?") else asked
        if asked[1:2] != "v" or (not self.path and self.under_v1 and asked.find("/v", 2) < 0):
            # No version, or one that is sent on and alone. To search for it would double what a choice costs.
            return asked
        found = _VERSIONS_AHEAD.match(asked)
        if found is None:
            return asked
        if self.version_path == "strip" or found[1] in self.dropped:
            return asked[found.end() :]
        return asked[found.start(1) :]


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured upstream.

    Args:
        host_header: value of the Host header it is called with.
        key_header: header line that carries its key, or None where we hold no key for it.
        headers: header fields of each request, in place of the caller's of these names.
        payloads: what is kept of its requests; None leaves that to the gateway's default.
        include_usage: whether streams of completions are asked for token counts for callers who did not ask.
    """

    name: str
    origin: Origin
    host_header: bytes
    base_path: BasePath
    base_url: str
    key_header: tuple[bytes, bytes] | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    payloads: PayloadPolicy | None = None
    include_usage: bool = False
    replaced_names: frozenset[bytes] = field(init=False)
    """Names, in lower case, of `headers`."""
    judged_names: frozenset[bytes] = field(init=False)
    """Those, and the names of the headers in which a caller's credential for it may come."""
    judged_lengths: frozenset[int] = field(init=False)
    """How long these names are."""
    secrets: tuple[bytes, ...] = field(init=False)
    """Values among `headers` that open something."""

    def __post_init__(self) -> None:
        own = () if self.key_header is None else self.key_header[:1]
        replaced = frozenset(name for name, _ in self.headers)
        judged = _CREDENTIAL_NAMES.union(own, replaced)
        object.__setattr__(self, "replaced_names", replaced)
        object.__setattr__(self, "judged_names", judged)
        object.__setattr__(self, "judged_lengths", frozenset(map(len, judged)))
        secrets = tuple(text for name, text in self.headers if is_secret_header(name))
        object.__setattr__(self, "secrets", secrets)


@value()
class Target:
    """An upstream chosen for one request: the provider, and the request target to ask it for."""

    provider: Provider
    request_target: str


ProviderTable = Mapping[str, Provider]
