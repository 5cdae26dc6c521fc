"""Providers: base URLs and how paths are joined to them, keys, headers and timeouts."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from gateway.errors import BadInput
from gateway.models.exchange import PayloadPolicy
from gateway.models.principal import PROVIDER_HEADERS, KeyPlacement, is_secret_header, key_header
from gateway.upstream.request import Origin, Timeouts

# Whether a version in a caller's path is sent on or left out, whatever the base URL.
VersionPath = Literal["keep", "strip"]

# A path segment that is a version: `v1`, `v1.1`, `v1beta`, `v1alpha2`, `v1p1beta1`.
VERSION_PATTERN = r"v[0-9]+(?:\.[0-9]+)*(?:p[0-9]+)?(?:(?:alpha|beta)[0-9]*)?"

_CREDENTIAL_FIELDS = frozenset(name.lower().encode() for name in PROVIDER_HEADERS)

# Versions at the head of a path; the group is the last of them.
_LEADING_VERSIONS = re.compile(rf"(?:(/{VERSION_PATTERN})(?=[/?]|\Z))+")


@dataclass(frozen=True, slots=True)
class BasePath:
    """The path of a base URL, and how callers' paths join to it."""

    # Without a trailing slash, such as `/v1`; may be empty.
    path: str
    # The provider's own rule; None: that of `join`.
    version_path: VersionPath | None
    # Replaces `/v1` ahead of a path with no other version; None where that varies.
    v1_prefix: str | None
    # Those, such as `/v1`, that are not sent on.
    dropped_versions: frozenset[str]
    # Whether a path that begins with the whole of `path` is complete already.
    is_distinct: bool

    @classmethod
    def of(cls, path: str, version_path: VersionPath | None = None) -> BasePath:
        path = path.rstrip("/")
        is_sent_on = version_path == "keep" or (version_path is None and not path)
        names = path.split("/")[1:]
        dropped = {"/v1", *("/" + name for name in names[-1:])} if path else ()
        return cls(
            path,
            version_path,
            v1_prefix=path + "/v1" if is_sent_on else None if path.startswith("/v1/") else path,
            dropped_versions=frozenset(dropped),
            is_distinct=len(names) > 1 and any(re.fullmatch(VERSION_PATTERN, name) for name in names),
        )

    def join(self, caller_path: str) -> str:
        """Return the request target for `/…` below the provider's name, or all of `/v1/…`. A leading version
        is sent on to a bare host, and left out where the base URL ends in the same; `v1` is left out behind
        any path."""
        if (
            caller_path[:4] == "/v1/"
            and self.v1_prefix is not None
            and (caller_path[4:5] != "v" or not _LEADING_VERSIONS.match(caller_path, 3))
        ):
            return self.v1_prefix + caller_path[3:]
        target = self.path + (caller_path if self.version_path == "keep" else self._below(caller_path))
        return target if target[:1] == "/" else "/" + target

    def _below(self, caller_path: str) -> str:
        if self.is_distinct and caller_path.startswith(self.path):
            # From a client whose base URL is the provider's with the gateway's host.
            rest = caller_path[len(self.path) :]
            caller_path = rest if rest[:1] in ("", "/", "?") else caller_path
        if caller_path[1:2] != "v" or (not self.path and self.v1_prefix and caller_path.find("/v", 2) < 0):
            # No version, or one that is sent on alone: the search would double the time of routing.
            return caller_path
        found = _LEADING_VERSIONS.match(caller_path)
        if found is None:
            return caller_path
        if self.version_path == "strip" or found[1] in self.dropped_versions:
            return caller_path[found.end() :]
        return caller_path[found.start(1) :]


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured upstream."""

    name: str
    origin: Origin
    host_header: bytes
    base_path: BasePath
    base_url: str
    # Name and value of the header with its key; None without a key.
    key_header: tuple[bytes, bytes] | None = None
    # This provider with each of its keys, where it has several.
    with_each_key: tuple[Provider, ...] = ()
    # Of each request, in place of the caller's of these names.
    headers: tuple[tuple[bytes, bytes], ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    # None: the gateway's default.
    payloads: PayloadPolicy | None = None
    # Whether token counts are requested in streams of callers who did not ask for them.
    include_usage: bool = False
    # Whether WebSockets are relayed.
    websocket: bool = False
    # In lower case, as the next.
    replaced_names: frozenset[bytes] = field(init=False)
    # Replaced names, and headers that may hold a caller's credential for it.
    checked_names: frozenset[bytes] = field(init=False)
    # Compared first, which is cheaper than names.
    checked_lengths: frozenset[int] = field(init=False)
    # Credentials among the values of `headers`.
    secrets: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        own = () if self.key_header is None else self.key_header[:1]
        replaced = frozenset(name for name, _ in self.headers)
        checked = _CREDENTIAL_FIELDS.union(own, replaced)
        object.__setattr__(self, "replaced_names", replaced)
        object.__setattr__(self, "checked_names", checked)
        object.__setattr__(self, "checked_lengths", frozenset(map(len, checked)))
        secrets = tuple(text for name, text in self.headers if is_secret_header(name))
        object.__setattr__(self, "secrets", secrets)

    def with_key(self, api_key: str) -> Provider:
        """Return this provider with another key alone, sent as its own is."""
        name = b"authorization" if self.key_header is None else self.key_header[0]
        prefix = b"Bearer " if name == b"authorization" else b""
        return replace(self, key_header=(name, prefix + api_key.encode()), with_each_key=())


ProviderTable = Mapping[str, Provider]


def build_provider(
    name: str,
    base_url: str,
    *,
    tls: ssl.SSLContext,
    version_path: VersionPath | None = None,
    api_keys: Sequence[str] = (),
    auth: KeyPlacement = "bearer",
    headers: dict[str, str] | None = None,
    timeouts: Timeouts | None = None,
    payloads: PayloadPolicy | None = None,
    include_usage: bool = False,
    websocket: bool = False,
    max_connections: int = 1000,
    keepalive_seconds: float = 30.0,
) -> Provider:
    """Build a provider. Raises BadInput for an unusable URL."""
    try:
        url = urlsplit(base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise BadInput(f"is not a usable URL: {error}.", field=f"{name}.base_url") from None
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise BadInput("must be http(s)://host[:port][/path].", field=f"{name}.base_url")
    key_name, key_prefix = key_header(auth)
    trust = tls if url.scheme == "https" else None
    provider = Provider(
        name=name,
        origin=Origin(url.hostname, port, trust, max_connections, keepalive_seconds),
        host_header=url.netloc.encode("idna" if not url.netloc.isascii() else "ascii"),
        base_path=BasePath.of(url.path, version_path),
        base_url=base_url,
        key_header=(key_name.encode(), (key_prefix + api_keys[0]).encode()) if api_keys else None,
        headers=tuple((field.lower().encode(), value.encode()) for field, value in (headers or {}).items()),
        timeouts=timeouts or Timeouts(),
        payloads=payloads,
        include_usage=include_usage,
        websocket=websocket,
    )
    if len(api_keys) < 2:
        return provider
    return replace(provider, with_each_key=tuple(provider.with_key(key) for key in api_keys))


_OPENAI_CHAT = "/v1/chat/completions"
_ANTHROPIC_CHAT = "/v1/messages"
_VERTEX_CHAT = "/projects/PROJECT/locations/REGION/publishers/google/models/MODEL:generateContent"

# Base URL without scheme and version, its SDK's default version, and the path of a chat call below that. Others
# have the paths of OpenAI's or Anthropic's SDK.
_CHAT_PATHS = tuple(
    (re.compile(place), version, asked)
    for place, version, asked in (
        (r"generativelanguage\.googleapis\.com", "v1beta", "/models/MODEL:generateContent"),
        (r"([^/]+-)?aiplatform\.googleapis\.com", "v1", _VERTEX_CHAT),
        (r"bedrock-runtime[^/]*\.amazonaws\.com", "", "/model/MODEL/converse"),
        (r"[^/]+\.(openai|cognitiveservices)\.azure\.com", "", "/openai/v1/chat/completions"),
        (r"[^/]+\.azure\.com/models", "", "/chat/completions"),
        (r"[^/]+\.ml\.cloud\.ibm\.com", "", "/ml/v1/text/chat"),
        (r"api\.cohere\.(com|ai)", "v2", "/chat"),
        (r"api\.groq\.com", "", "/openai/v1/chat/completions"),
        (r"api\.perplexity\.ai", "", "/chat/completions"),
        (r"api\.writer\.com", "v1", "/chat"),
        (r"qianfan\.baidubce\.com", "v2", "/chat/completions"),
        (r"dashscope[^/]*\.aliyuncs\.com/api", "v1", "/services/aigc/text-generation/generation"),
    )
)

# The end of a URL that is no base URL but an endpoint.
_ENDPOINT_SUFFIX = re.compile(
    r"(/(chat/)?completions|/messages(/count_tokens)?|/responses|/embeddings|/moderations|/rerank"
    r"|/audio/(speech|transcriptions|translations)|/images/(generations|edits)|/generate(_stream)?"
    r"|/api/(chat|generate|embed|embeddings)|(?<=/v[12])/chat|/services/aigc/.+"
    r"|/model/[^/]+/(converse|invoke)[^/]*"
    rf"|(/{VERSION_PATTERN}(/.+)?)?/models/[^/]+:[A-Za-z]+)$",
    re.IGNORECASE,
)

_HAS_VERSION = re.compile(rf"/{VERSION_PATTERN}(?=/|$)")


@dataclass(frozen=True, slots=True)
class BaseUrlProblem:
    """What is wrong with a setting, and a sentence on what to do."""

    says: str
    do: str


def chat_url(base_url: str, version_path: VersionPath | None = None, auth: KeyPlacement = "bearer") -> str:
    """Return the URL of a chat call by the likely SDK of a base URL."""
    url = urlsplit(base_url)
    joined = BasePath.of(url.path, version_path).join(_chat_path(url.netloc + url.path.rstrip("/"), auth))
    return f"{url.scheme}://{url.netloc}{joined}"


def find_problem(base_url: str, version_path: VersionPath | None = None) -> BaseUrlProblem | None:
    """Return what keeps calls from reaching a provider."""
    base_url = base_url.rstrip("/")
    path = urlsplit(base_url).path
    if found := _ENDPOINT_SUFFIX.search(path):
        right = base_url[: len(base_url) - len(found[0])]
        fault = f"ends in an endpoint, {found[0]}; other paths would be appended to it."
        return BaseUrlProblem(fault, f"Write {right}.")
    if version_path is None and path.endswith("/anthropic") and not _HAS_VERSION.search(path):
        fault = f"has a path, behind which v1 is left out, but Anthropic's SDKs ask for {_ANTHROPIC_CHAT}."
        return BaseUrlProblem(fault, "Set version_path: keep.")
    return None


def _chat_path(place: str, auth: KeyPlacement) -> str:
    rest, _, last = place.rpartition("/")
    is_versioned = re.fullmatch(VERSION_PATTERN, last) is not None
    for pattern, version, asked in _CHAT_PATHS:
        if pattern.fullmatch(rest if is_versioned and version else place):
            named = last if is_versioned else version
            return f"/{named}{asked}" if version else asked
    is_anthropic = key_header(auth)[0] == "x-api-key" or "anthropic" in place
    return _ANTHROPIC_CHAT if is_anthropic else _OPENAI_CHAT
