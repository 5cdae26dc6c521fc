"""Portkey's config language: JSON or YAML to a Route, with what is wrong and what is doubtful by its path."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gateway.errors import BadInput
from gateway.models import route as routes
from gateway.models.guardrails import Guardrail
from gateway.models.route import Route, RouteCondition, RouteMode, RouteNode, RouteSettings, RouteWarning
from gateway.routing.conditions import compile_query, query_warnings
from gateway.routing.config_faults import first_fault, refuse_depth, refuse_targets
from gateway.routing.experiment_config import parse_experiment
from gateway.routing.guardrails import parse_guardrails

MAX_CONFIG_BYTES = 256 * 1024

_FORWARD_HEADERS = "x-portkey-forward-headers"

# Known to Portkey, and without effect here: what a provider needs of them stands in the configuration.
_IGNORED_KEYS = frozenset(
    {
        "prompt_id", "passthrough", "resource_name", "deployment_id", "api_version", "deployments", "api_type",
        "openai_project", "openai_organization",
    }
)  # fmt: skip
_IGNORED_PREFIXES = ("aws_", "vertex_", "azure_", "workers_ai_", "anthropic_", "huggingface_")
# Lists of guardrails by the setting that they are part of; hooks replace what is inherited, the others add to it.
_HOOKS = {"before_request_hooks": "before_hooks", "after_request_hooks": "after_hooks"}
_GUARDRAILS = {
    "default_input_guardrails": "input_guardrails", "default_output_guardrails": "output_guardrails",
    "input_guardrails": "input_guardrails", "output_guardrails": "output_guardrails",
    "input_mutators": "input_guardrails", "output_mutators": "output_guardrails",
}  # fmt: skip

SESSION_FIELD = r"^(metadata|params|headers)\..+"

Status = Annotated[int, Field(ge=100, le=599)]
_Hooks = tuple[Any, ...] | None
Milliseconds = Annotated[float, Field(gt=0, le=24 * 3_600_000)]


class _Section(BaseModel):
    # Keys in snake_case and camelCase; others are noted.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)


class _Retry(_Section):
    attempts: int = Field(ge=0)
    on_status_codes: tuple[Status, ...] | None = None
    use_retry_after_header: bool = Field(
        False,
        validation_alias=AliasChoices(
            "use_retry_after_header", "use_retry_after_headers", "useRetryAfterHeader", "useRetryAfterHeaders"
        ),
    )


class _Cache(_Section):
    mode: Literal["simple", "semantic"]
    max_age: float | None = None
    # Ours: answers are looked for, and kept.
    read: bool = True
    write: bool = True


class _Breaker(_Section):
    failure_threshold: int | None = Field(None, ge=1)
    failure_threshold_percentage: float | None = Field(None, gt=0, le=100)
    minimum_requests: int = Field(5, ge=1)
    cooldown_interval: float = Field(routes.MIN_COOLDOWN_MS, gt=0)
    failure_status_codes: tuple[Status, ...] | None = None


class _Condition(_Section):
    query: dict[str, Any]
    then: str


class _Sticky(_Section):
    enabled: bool = True
    hash_fields: tuple[Annotated[str, Field(pattern=SESSION_FIELD)], ...] = ()
    ttl: float | None = Field(None, gt=0)


class _Strategy(_Section):
    mode: RouteMode
    on_status_codes: tuple[Status, ...] | None = None
    conditions: tuple[_Condition, ...] | None = None
    default: str | None = None
    sticky: _Sticky | None = None
    cb_config: _Breaker | None = None


class _Node(_Section):
    strategy: _Strategy | None = None
    targets: tuple["_Node", ...] | None = None
    name: str | None = None
    provider: str | None = None
    api_key: str | None = None
    virtual_key: str | None = None
    weight: float = Field(1.0, ge=0)
    retry: _Retry | None = None
    cache: _Cache | None = None
    request_timeout: Milliseconds | None = None
    override_params: dict[str, Any] | None = None
    default_params: dict[str, Any] | None = None
    drop_params: tuple[str, ...] | None = None
    custom_host: str | None = None
    forward_headers: tuple[str, ...] | None = None
    on_status_codes: tuple[Status, ...] | None = None
    cb_config: _Breaker | None = None
    strict_open_ai_compliance: bool | None = None
    before_request_hooks: _Hooks = None
    after_request_hooks: _Hooks = None
    input_guardrails: _Hooks = None
    output_guardrails: _Hooks = None
    default_input_guardrails: _Hooks = None
    default_output_guardrails: _Hooks = None
    input_mutators: _Hooks = None
    output_mutators: _Hooks = None
    # Ours: a target that gets a share of the requests too.
    mirror: dict[str, Any] | None = None
    # Ours: targets that are compared by feedback.
    experiment: dict[str, Any] | None = None
    strict: bool = False


def parse_header(text: bytes, field: str = "x-portkey-config") -> Route:
    """Return the route that a header's JSON means. Raises BadInput."""
    if len(text) > MAX_CONFIG_BYTES:
        raise BadInput(f"is longer than {MAX_CONFIG_BYTES:,} bytes.", field=field)
    try:
        config = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = "Send a config as JSON, or the name of a route."
        raise BadInput(f"is not valid JSON: {error.msg}.", field=field, hint=hint) from None
    return parse_config(config, field)


def parse_config(config: object, field: str = "config") -> Route:
    """Return the route that a config means.

    Args:
        config: the value of its JSON or YAML.
        field: what errors and warnings call the config.

    Raises:
        BadInput: it means no route; the field is the path of the key.
    """
    if not isinstance(config, dict):
        raise BadInput("must be an object.", field=field)
    node = _parse_node(config, field)
    if not _means_something(node):
        hint = (
            "Give strategy and targets, a provider, or one of retry, cache, request_timeout, override_params."
        )
        raise BadInput("says nothing about routing.", field=field, hint=hint)
    builder = _Builder(field)
    root = builder.build_root(node)
    warnings = tuple(builder.warnings)
    if node.strict and (unknown := next((each for each in warnings if each.message == _UNKNOWN), None)):
        raise BadInput("is not known, and strict is true.", field=unknown.field)
    return Route(root, warnings, mirror=_mirror(node.mirror, f"{field}.mirror"))


def _parse_node(config: Mapping[str, Any], field: str) -> _Node:
    refuse_depth(config, field)
    try:
        return _Node.model_validate(config)
    except ValidationError as error:
        raise first_fault(error, field) from None


def _mirror(given: Mapping[str, Any] | None, field: str) -> routes.Mirror | None:
    if given is None:
        return None
    share = given.get("share", 1)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise BadInput("must be a number above 0 and at most 1.", field=f"{field}.share")
    route = parse_config({key: value for key, value in given.items() if key != "share"}, field)
    target = route.root
    if not isinstance(target, routes.RouteTarget) or target.settings.changes_course or route.mirror:
        hint = "Give it a provider, and params; it has no strategy, retry, cache, breaker or guardrails."
        raise BadInput("is more than one target.", field=field, hint=hint)
    if target.provider is None and target.settings.custom_host is None:
        raise BadInput("is missing.", field=f"{field}.provider")
    return routes.Mirror(float(share), replace(target, path=routes.MIRROR_PATH))


_UNKNOWN = "is not known, and has no effect."


class _Builder:
    """Builds the tree of a config, and notes what is doubtful."""

    def __init__(self, field: str) -> None:
        self._field = field
        self.warnings: list[RouteWarning] = []

    def build_root(self, node: _Node) -> RouteNode:
        if node.experiment is None:
            return self.build(node, RouteSettings(), "config")
        place = self._name("config.experiment")
        if node.strategy or node.targets or node.provider or node.virtual_key:
            hint = "Write them in its variants, each of which may be any target."
            raise BadInput("stands beside a strategy, targets or a provider.", field=place, hint=hint)
        experiment, variants = parse_experiment(node.experiment, self._field.rpartition(".")[2], place)
        self._note_keys(node, "config")
        settings = self._settings(node, RouteSettings(), "config")
        targets = []
        for position, each in enumerate(variants):
            path = f"config.experiment.variants[{position}]"
            variant = _parse_node(each, self._name(path))
            if variant.experiment is not None or variant.mirror is not None:
                raise BadInput("a variant has no experiment or mirror of its own.", field=self._name(path))
            targets.append(self.build(variant, settings, path))
        return routes.RouteStrategy(
            path="config", mode=RouteMode.LOADBALANCE, targets=targets, experiment=experiment
        )

    def build(self, node: _Node, inherited: RouteSettings, path: str) -> RouteNode:
        """Return a node with what it inherits; `path` is as Portkey reports it."""
        self._note_keys(node, path)
        settings = self._settings(node, inherited, path)
        strategy = node.strategy
        if strategy is None and not node.targets:
            return self._target(node, settings, path)
        mode = RouteMode.SINGLE if strategy is None else strategy.mode
        targets = node.targets or ()
        weights = [target.weight for target in targets]
        refuse_targets(mode, weights, self._name(f"{path}.targets"), is_root=path == "config")
        if strategy is not None:
            self._note_keys(strategy, f"{path}.strategy")
            if strategy.cb_config is not None:
                settings = replace(settings, breaker=_breaker(strategy.cb_config))
        if mode is RouteMode.CONDITIONAL:
            # Portkey's conditions end a breaker that stands above them.
            settings = replace(settings, breaker=None)
        children = [
            self.build(child, settings, f"{path}.targets[{position}]")
            for position, child in enumerate(targets)
        ]
        return self._strategy(node, strategy, mode, children, path)

    def _strategy(
        self,
        node: _Node,
        strategy: _Strategy | None,
        mode: RouteMode,
        children: list[RouteNode],
        path: str,
    ) -> RouteNode:
        conditions = self._conditions(strategy, children, path) if mode is RouteMode.CONDITIONAL else ()
        built = routes.RouteStrategy(
            path=path,
            mode=mode,
            targets=children,
            name=node.name,
            weight=node.weight,
            status_codes=_codes(None if strategy is None else strategy.on_status_codes),
            conditions=conditions,
            default=None if strategy is None else strategy.default,
            **self._sticky(strategy, mode, path),
        )
        self._note_unreachable(built)
        return built

    def _sticky(self, strategy: _Strategy | None, mode: RouteMode, path: str) -> dict[str, Any]:
        sticky = None if strategy is None else strategy.sticky
        if sticky is None:
            return {}
        place = f"{path}.strategy.sticky"
        self._note_keys(sticky, place)
        if mode is not RouteMode.LOADBALANCE:
            self._warn(place, "has an effect in a loadbalance alone.")
        elif sticky.enabled and not sticky.hash_fields:
            self._warn(place, "sessions stay on their target without it; name hash_fields, or leave it out.")
        if sticky.ttl is not None:
            self._warn(f"{place}.ttl", "has no effect: nothing is kept that could end.")
        return {"keeps_sessions": sticky.enabled, "session_fields": sticky.hash_fields}

    def _target(self, node: _Node, settings: RouteSettings, path: str) -> RouteNode:
        provider = node.provider or node.virtual_key
        return routes.RouteTarget(
            path=path,
            name=node.name,
            weight=node.weight,
            provider=None if provider is None else provider.removeprefix("@"),
            api_key=node.api_key,
            settings=settings,
        )

    def _settings(self, node: _Node, inherited: RouteSettings, path: str) -> RouteSettings:
        """Return the settings of a node: each of its own in place of what is inherited."""
        own: dict[str, Any] = {}
        if node.override_params is not None:
            own["override_params"] = {**inherited.override_params, **node.override_params}
        if node.default_params is not None:
            own["default_params"] = node.default_params
        if node.drop_params is not None:
            own["drop_params"] = node.drop_params
        if node.retry is not None:
            own["retry"] = self._retry(node.retry, f"{path}.retry")
        if node.cache is not None:
            own["cache"] = self._cache(node.cache, f"{path}.cache")
        if node.request_timeout is not None:
            own["request_timeout_ms"] = int(node.request_timeout)
        if node.custom_host is not None:
            own["custom_host"] = self._host(node.custom_host, f"{path}.custom_host")
        if node.forward_headers is not None:
            own["forward_headers"] = self._forwarded(node.forward_headers, f"{path}.forward_headers")
        if node.cb_config is not None:
            own["breaker"] = _breaker(node.cb_config)
        if node.strict_open_ai_compliance is not None:
            own["shows_hook_results"] = not node.strict_open_ai_compliance
        own |= self._guardrails(node, inherited, path)
        return replace(inherited, **own)

    def _guardrails(
        self, node: _Node, inherited: RouteSettings, path: str
    ) -> dict[str, tuple[Guardrail, ...]]:
        own: dict[str, tuple[Guardrail, ...]] = {}
        for key, setting in (_HOOKS | _GUARDRAILS).items():
            if (given := getattr(node, key)) is None:
                continue
            if key.startswith("default_") and path != "config":
                self._warn(f"{path}.{key}", "has an effect at the root alone.")
                continue
            kind = "mutator" if key.endswith("mutators") else "guardrail"
            place = self._name(f"{path}.{key}")
            before = () if key in _HOOKS else own.get(setting, getattr(inherited, setting))
            own[setting] = before + parse_guardrails(given, place, self._warn_at, kind)
        return own

    def _retry(self, retry: _Retry, path: str) -> routes.RetryRule:
        self._note_keys(retry, path)
        if retry.attempts > routes.MAX_RETRIES:
            self._warn(f"{path}.attempts", f"{routes.MAX_RETRIES} attempts are made at most.")
        if retry.on_status_codes == ():
            self._warn(f"{path}.on_status_codes", "is empty, so nothing is tried again.")
        codes = _codes(retry.on_status_codes)
        return routes.RetryRule(
            min(retry.attempts, routes.MAX_RETRIES),
            routes.DEFAULT_RETRY_CODES if codes is None else codes,
            retry.use_retry_after_header,
        )

    def _cache(self, cache: _Cache, path: str) -> routes.CacheRule:
        self._note_keys(cache, path)
        if cache.mode == "semantic":
            self._warn(f"{path}.mode", "is taken as simple: only equal requests get the same answer.")
        if not (cache.read or cache.write):
            self._warn(path, "has no effect, as it neither reads nor writes.")
        return routes.CacheRule(self._max_age(cache.max_age, f"{path}.max_age"), cache.read, cache.write)

    def _max_age(self, age: float | None, path: str) -> int:
        if age is None:
            return routes.DEFAULT_CACHE_SECONDS
        if not routes.MIN_CACHE_SECONDS <= age <= routes.MAX_CACHE_SECONDS:
            allowed = f"{routes.MIN_CACHE_SECONDS} to {routes.MAX_CACHE_SECONDS:,} seconds"
            self._warn(path, f"is not within {allowed}; {routes.DEFAULT_CACHE_SECONDS:,} are used.")
            return routes.DEFAULT_CACHE_SECONDS
        return int(age)

    def _host(self, url: str, path: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput("must be a URL such as https://llm.example.com/v1.", field=self._name(path))
        return url.rstrip("/")

    def _forwarded(self, names: Sequence[str], path: str) -> tuple[str, ...]:
        lowered = tuple(name.lower() for name in names)
        if _FORWARD_HEADERS in lowered:
            raise BadInput(f"may not name {_FORWARD_HEADERS}.", field=self._name(path))
        return lowered

    def _conditions(
        self, strategy: _Strategy | None, children: Sequence[RouteNode], path: str
    ) -> Sequence[RouteCondition]:
        place = f"{path}.strategy"
        if strategy is None or not strategy.conditions:
            raise BadInput("a conditional needs conditions.", field=self._name(f"{place}.conditions"))
        names = {child.name for child in children if child.name}
        built = []
        for position, condition in enumerate(strategy.conditions):
            here = f"{place}.conditions[{position}]"
            self._check_name(condition.then, names, f"{here}.then")
            query_path = self._name(f"{here}.query")
            self.warnings += query_warnings(condition.query, query_path)
            holds = compile_query(condition.query, query_path)
            built.append(RouteCondition(condition.query, holds, condition.then))
        if strategy.default is not None:
            self._check_name(strategy.default, names, f"{place}.default")
        else:
            self._warn(place, "has no default: a request for which no condition holds gets 400.")
        return built

    def _check_name(self, name: str, names: set[str], path: str) -> None:
        if name not in names:
            hint = f"Its targets are called: {', '.join(sorted(names)) or 'nothing; give each a name'}."
            raise BadInput(f"no target is called {name[:100]!r}.", field=self._name(path), hint=hint)

    def _note_unreachable(self, node: routes.RouteStrategy) -> None:
        place = f"{node.path}.targets"
        if node.mode is RouteMode.SINGLE and len(node.targets) > 1:
            self._warn(f"{place}[1]", "is never reached: single uses the first target.")
        elif node.mode is RouteMode.FALLBACK and node.status_codes == frozenset():
            self._warn(f"{node.path}.strategy.on_status_codes", "is empty, so nothing falls back.")
        elif node.mode is RouteMode.LOADBALANCE:
            for target in node.targets:
                if not target.weight:
                    self._warn(f"{target.path}.weight", "is 0, so the target is never chosen.")
        elif node.mode is RouteMode.CONDITIONAL:
            named = {condition.then for condition in node.conditions} | {node.default}
            for target in node.targets:
                if target.name is None or target.name not in named:
                    self._warn(target.path, "is never reached: no condition names it.")

    def _note_keys(self, section: _Section, path: str) -> None:
        for key in section.model_extra or ():
            snake = _to_snake(key)
            if snake not in _IGNORED_KEYS and not snake.startswith(_IGNORED_PREFIXES):
                self._warn(f"{path}.{key}", _UNKNOWN)
        if isinstance(section, _Node) and section.on_status_codes is not None and section.strategy is None:
            self._warn(f"{path}.on_status_codes", "has no effect on a target; write it in strategy or retry.")
        if isinstance(section, _Strategy) and section.on_status_codes and section.mode != "fallback":
            self._warn(f"{path}.on_status_codes", "has an effect in a fallback alone.")

    def _warn(self, path: str, message: str) -> None:
        self._warn_at(self._name(path), message)

    def _warn_at(self, field: str, message: str) -> None:
        self.warnings.append(RouteWarning(field, message))

    def _name(self, path: str) -> str:
        # Inside, a path begins with `config`, as Portkey reports it.
        return self._field + path.removeprefix("config")


def _means_something(node: _Node) -> bool:
    return bool(node.experiment or node.targets or node.strategy or node.provider or node.virtual_key) or any(
        each is not None
        for each in (
            node.cache, node.retry, node.request_timeout, node.override_params, node.default_params,
            node.drop_params, node.custom_host, *(getattr(node, key) for key in _HOOKS | _GUARDRAILS),
        )
    )  # fmt: skip


def _codes(codes: Sequence[int] | None) -> frozenset[int] | None:
    return None if codes is None else frozenset(codes)


def _breaker(given: _Breaker) -> routes.BreakerRule:
    threshold = given.failure_threshold
    if threshold is None and given.failure_threshold_percentage is None:
        threshold = given.minimum_requests
    return routes.BreakerRule(
        failure_threshold=threshold,
        failure_percentage=given.failure_threshold_percentage,
        minimum_requests=given.minimum_requests,
        cooldown_ms=int(max(given.cooldown_interval, routes.MIN_COOLDOWN_MS)),
        status_codes=_codes(given.failure_status_codes),
    )


def _to_snake(key: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in key)
