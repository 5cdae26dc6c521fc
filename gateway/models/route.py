"""Routes: Portkey's config language as frozen data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.models.exchange import value_class
from gateway.models.experiment import Experiment
from gateway.models.guardrails import Guardrail

# Of `retry` without codes of its own; Portkey's documents have 529, its source has not.
DEFAULT_RETRY_CODES = frozenset({429, 500, 502, 503, 504, 529})
MAX_RETRIES = 5

MIN_CACHE_SECONDS = 60
MAX_CACHE_SECONDS = 90 * 24 * 3600
DEFAULT_CACHE_SECONDS = 7 * 24 * 3600

MIN_COOLDOWN_MS = 30_000


class RouteMode(StrEnum):
    """How a strategy chooses among its targets."""

    SINGLE = "single"
    FALLBACK = "fallback"
    LOADBALANCE = "loadbalance"
    CONDITIONAL = "conditional"


@value_class()
class RetryRule:
    """How often one target is tried again, and after which statuses."""

    attempts: int
    status_codes: frozenset[int] = DEFAULT_RETRY_CODES
    honours_retry_after: bool = False


@value_class()
class CacheRule:
    """That answers are cached, for how long, and whether only to be read or only to be written."""

    max_age_seconds: int = DEFAULT_CACHE_SECONDS
    reads: bool = True
    writes: bool = True


@value_class()
class BreakerRule:
    """When a target that fails is left alone.

    Args:
        failure_threshold: failures in a row; None: only the share counts.
        failure_percentage: of at least `minimum_requests`, likewise.
        status_codes: statuses that are failures; None: 500 and above.
    """

    failure_threshold: int | None
    failure_percentage: float | None
    minimum_requests: int
    cooldown_ms: int
    status_codes: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """What a target inherits from those around it, each overridden as a whole but for `override_params` and
    guardrails."""

    override_params: Mapping[str, object] = field(default_factory=dict)
    default_params: Mapping[str, object] = field(default_factory=dict)
    drop_params: tuple[str, ...] = ()
    retry: RetryRule | None = None
    cache: CacheRule | None = None
    # Of each attempt, until the response's head.
    request_timeout_ms: int | None = None
    custom_host: str | None = None
    # In lower case.
    forward_headers: tuple[str, ...] = ()
    breaker: BreakerRule | None = None
    input_guardrails: tuple[Guardrail, ...] = ()
    output_guardrails: tuple[Guardrail, ...] = ()
    before_hooks: tuple[Guardrail, ...] = ()
    after_hooks: tuple[Guardrail, ...] = ()
    # Whether answers say what their guardrails found.
    shows_hook_results: bool = False

    @property
    def edits_body(self) -> bool:
        return bool(self.override_params or self.default_params or self.drop_params)

    @property
    def changes_course(self) -> bool:
        """Whether more is done than to send a request once."""
        others = (self.retry, self.cache, self.breaker, self.request_timeout_ms)
        return any(each is not None for each in others) or bool(self.input_checks or self.output_checks)

    @property
    def input_checks(self) -> tuple[Guardrail, ...]:
        return self.before_hooks + self.input_guardrails

    @property
    def output_checks(self) -> tuple[Guardrail, ...]:
        return self.after_hooks + self.output_guardrails


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTarget:
    """A leaf: one provider.

    Args:
        path: as Portkey reports it, such as `config.targets[0].targets[1]`.
        provider: name of a configured provider; None: the one that the request names.
        api_key: sent in place of the provider's own.
    """

    path: str
    name: str | None = None
    weight: float = 1.0
    provider: str | None = None
    api_key: str | None = field(default=None, repr=False)
    settings: RouteSettings = field(default_factory=RouteSettings)

    @property
    def label(self) -> str:
        """What people call it: its name or provider, and its path."""
        label = self.name or self.provider
        return self.path if label is None else f"{label} ({self.path})"


# From what a condition may ask for to whether it holds.
Predicate = Callable[["ConditionContext"], bool]


@dataclass(frozen=True, slots=True)
class ConditionContext:
    """What conditions may ask for: the metadata, the caller's parameters before any override, the path."""

    metadata: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    pathname: str = ""


@dataclass(frozen=True, slots=True)
class RouteCondition:
    """The target that is chosen where a query holds."""

    query: Mapping[str, object]
    holds: Predicate = field(repr=False, compare=False)
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStrategy:
    """A node with targets.

    Args:
        status_codes: after which a fallback goes on; None: after all that is not 2xx.
        default: name of the target where no condition holds.
        keeps_sessions: whether a session stays on its target of a loadbalance.
        session_fields: `metadata.KEY`, `params.KEY`, `headers.NAME`: requests alike in these are a session.
    """

    path: str
    mode: RouteMode
    targets: Sequence["RouteNode"]
    name: str | None = None
    weight: float = 1.0
    status_codes: frozenset[int] | None = None
    conditions: Sequence[RouteCondition] = ()
    default: str | None = None
    keeps_sessions: bool = True
    session_fields: tuple[str, ...] = ()
    # Whose variants the targets of a loadbalance are.
    experiment: Experiment | None = None

    @property
    def label(self) -> str:
        """What people call it: its name, and its path."""
        return self.path if self.name is None else f"{self.name} ({self.path})"

    def target_named(self, name: str) -> "RouteNode | None":
        return next((target for target in self.targets if target.name == name), None)


RouteNode = RouteTarget | RouteStrategy

MIRROR_PATH = "config.mirror"

# In the metadata of a mirrored request: the id of the request that its caller sent.
MIRROR_OF = "mirror_of"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A target that gets a share of the requests too, whose answers reach the log alone."""

    share: float
    target: RouteTarget


@value_class()
class RouteWarning:
    """What is probably not meant, or what Portkey would do differently, by the path of its key."""

    field: str
    message: str


@value_class()
class ResponseMaker:
    """The provider that gave a response, and the target of its route."""

    provider: str
    target: str | None


@dataclass(frozen=True, slots=True)
class Route:
    """A routing config."""

    root: RouteNode
    warnings: tuple[RouteWarning, ...] = ()
    # In the configuration.
    name: str | None = None
    mirror: Mirror | None = None
    # Each request asks for these, so they are found once.
    leaves: tuple[RouteTarget, ...] = field(init=False, repr=False, compare=False)
    has_loadbalance: bool = field(init=False, repr=False, compare=False)
    # Providers, keys or hosts, each of which keeps state of its own.
    has_several_accounts: bool = field(init=False, repr=False, compare=False)
    # Whether a condition asks for the body, and whether a target edits it.
    reads_params: bool = field(init=False, repr=False, compare=False)
    edits_body: bool = field(init=False, repr=False, compare=False)
    has_guardrails: bool = field(init=False, repr=False, compare=False)
    experiment: Experiment | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        strategies, leaves = list(_strategies(self.root)), tuple(_leaves(self.root))
        queries = (str(condition.query) for node in strategies for condition in node.conditions)
        derived = {
            "leaves": leaves,
            "has_several_accounts": len(
                {(leaf.provider, leaf.api_key, leaf.settings.custom_host) for leaf in leaves}
            )
            > 1,
            "has_loadbalance": any(node.mode is RouteMode.LOADBALANCE for node in strategies),
            "reads_params": any("params." in query for query in queries),
            "edits_body": any(leaf.settings.edits_body for leaf in leaves),
            "has_guardrails": any(
                leaf.settings.input_checks or leaf.settings.output_checks for leaf in leaves
            ),
            "experiment": getattr(self.root, "experiment", None),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @property
    def variants(self) -> Sequence[RouteNode]:
        """Those of its experiment, in the order of their names there."""
        return () if isinstance(self.root, RouteTarget) else self.root.targets

    @property
    def targets(self) -> tuple[RouteTarget, ...]:
        return self.leaves if self.mirror is None else (*self.leaves, self.mirror.target)


def _leaves(node: RouteNode) -> Iterator[RouteTarget]:
    if isinstance(node, RouteTarget):
        yield node
    else:
        for target in node.targets:
            yield from _leaves(target)


def _strategies(node: RouteNode) -> Iterator[RouteStrategy]:
    if isinstance(node, RouteStrategy):
        yield node
        for target in node.targets:
            yield from _strategies(target)
