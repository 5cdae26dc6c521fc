"""Portkey's config language is read as its documents and its source have it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.models.route import CacheRule, RetryRule, Route
from gateway.routing.portkey_config import parse_config, parse_header

TWO: list[dict[str, Any]] = [{"provider": "a"}, {"provider": "b"}]


def warned(route: Route) -> list[str]:
    return [f"{each.field}: {each.message}" for each in route.warnings]


def test_a_target_has_what_is_its_own_and_inherits_the_rest() -> None:
    config = {
        "strategy": {"mode": "fallback"},
        "override_params": {"temperature": 0, "top_p": 1},
        "retry": {"attempts": 2},
        "request_timeout": 500,
        "forward_headers": ["X-Team"],
        "targets": [
            {
                "provider": "a",
                "override_params": {"top_p": 0.5},
                "retry": {"attempts": 1, "on_status_codes": [500]},
            },
            {
                "strategy": {"mode": "single"},
                "request_timeout": 900,
                "targets": [{"virtual_key": "@b", "api_key": "k", "weight": 0.25, "name": "spare"}],
            },
        ],
    }
    first, second = parse_config(config).leaves
    assert first.settings.override_params == {"temperature": 0, "top_p": 0.5}
    assert first.settings.retry == RetryRule(1, frozenset({500}))
    assert (first.settings.request_timeout_ms, first.settings.forward_headers) == (500, ("x-team",))
    assert (second.path, second.provider, second.api_key) == ("config.targets[1].targets[0]", "b", "k")
    assert second.settings.override_params == {"temperature": 0, "top_p": 1}
    assert second.settings.retry == RetryRule(2)
    assert second.settings.request_timeout_ms == 900
    assert "k" not in repr(second).split("api_key")[-1:]


def test_camel_case_is_the_same_and_leaves_inner_keys_alone() -> None:
    config = {
        "requestTimeout": 100,
        "overrideParams": {"maxTokens": 1, "max_tokens": 2},
        "retry": {"attempts": 1, "onStatusCodes": [500], "useRetryAfterHeaders": True},
        "virtualKey": "a",
    }
    (target,) = parse_config(config).leaves
    assert target.provider == "a"
    assert target.settings.request_timeout_ms == 100
    assert target.settings.override_params == {"maxTokens": 1, "max_tokens": 2}
    assert target.settings.retry == RetryRule(1, frozenset({500}), honours_retry_after=True)


@pytest.mark.parametrize(
    ("cache", "rule"),
    [
        ({"mode": "simple"}, CacheRule(604_800)),
        ({"mode": "simple", "max_age": 60}, CacheRule(60)),
        ({"mode": "simple", "max_age": 59}, CacheRule(604_800)),
        ({"mode": "simple", "max_age": 7_776_000}, CacheRule(7_776_000)),
        ({"mode": "simple", "max_age": 7_776_001}, CacheRule(604_800)),
        ({"mode": "semantic", "max_age": 90}, CacheRule(90)),
    ],
)
def test_the_age_of_a_cache_is_in_seconds_and_bounded(cache: dict[str, Any], rule: CacheRule) -> None:
    (target,) = parse_config({"cache": cache}).leaves
    assert target.settings.cache == rule


@pytest.mark.parametrize("place", ["strategy", "target"])
def test_a_breaker_stands_in_the_strategy_or_beside_it(place: str) -> None:
    breaker = {"failure_threshold": 3, "cooldown_interval": 10}
    config: dict[str, Any] = {"strategy": {"mode": "fallback"}, "targets": TWO}
    (config["strategy"] if place == "strategy" else config)["cb_config"] = breaker
    rules = [target.settings.breaker for target in parse_config(config).leaves]
    assert [(rule.failure_threshold, rule.cooldown_ms) for rule in rules if rule] == [(3, 30_000)] * 2


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ([], "config: must be an object."),
        (
            {"strategy": {"mode": "loadbalance", "sticky": {"hash_fields": ["user"]}}, "targets": TWO},
            "config.strategy.sticky.hash_fields[0]: must begin with metadata., params. or headers.",
        ),
        ({}, "config: says nothing about routing."),
        ({"name": "x"}, "config: says nothing about routing."),
        ({"strategy": {"mode": "best"}, "targets": TWO}, "config.strategy.mode: must be 'single', 'fallback'"),
        ({"strategy": {"mode": "fallback"}}, "config.targets: a strategy needs targets."),
        ({"strategy": {"mode": "fallback"}, "targets": [{"weight": -1}]}, "config.targets[0].weight: must be 0 or"),
        ({"provider": "a", "weight": "heavy"}, "config.weight: must be a number."),
        ({"retry": {}}, "config.retry.attempts: is missing."),
        ({"retry": {"attempts": 1, "on_status_codes": [42]}}, "config.retry.on_status_codes[0]: must be 100 or"),
        ({"cache": {"mode": "clever"}}, "config.cache.mode: must be 'simple' or 'semantic'."),
        ({"request_timeout": 0}, "config.request_timeout: must be more than 0."),
        ({"custom_host": "ftp://x"}, "config.custom_host: must be a URL such as"),
        (
            {"provider": "a", "forward_headers": ["X-Portkey-Forward-Headers"]},
            "config.forward_headers: may not name x-portkey-forward-headers.",
        ),
        (
            {"strategy": {"mode": "loadbalance"}, "targets": [{"weight": 0}]},
            "config.targets: all weights are 0, so no target can be chosen. Give one a weight.",
        ),
        (
            {"strategy": {"mode": "conditional", "conditions": [{"query": {}, "then": "x"}]},
             "targets": [{"name": "a"}, {"name": "b"}]},
            "config.strategy.conditions[0].then: no target is called 'x'. Its targets are called: a, b.",
        ),
        ({"strategy": {"mode": "conditional"}, "targets": TWO}, "config.strategy.conditions: a conditional needs"),
        (
            {"strategy": {"mode": "fallback"}, "targets": TWO * 51},
            "config.targets: there may be 100 targets; got 102.",
        ),
        ({"provider": "a", "strict": True, "colour": 1}, "config.colour: is not known, and strict is true."),
    ],
)  # fmt: skip
def test_a_config_that_means_no_route_is_refused_by_the_path_of_its_key(config: Any, fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_config(config)
    assert str(caught.value).startswith(fault)


def test_targets_may_be_nested_so_deep_and_no_deeper() -> None:
    def nested(depth: int) -> dict[str, Any]:
        config: dict[str, Any] = {"provider": "a"}
        for _ in range(depth):
            config = {"strategy": {"mode": "single"}, "targets": [config]}
        return config

    assert len(list(parse_config(nested(15)).leaves)) == 1
    with pytest.raises(BadInput, match="nested more than 16 deep"):
        parse_config(nested(16))


@pytest.mark.parametrize(
    ("config", "warning"),
    [
        ({"provider": "a", "colour": 1}, "config.colour: is not known, and has no effect."),
        ({"provider": "a", "retry": {"attempts": 9}}, "config.retry.attempts: 5 attempts are made at most."),
        (
            {"provider": "a", "retry": {"attempts": 1, "on_status_codes": []}},
            "config.retry.on_status_codes: is empty, so nothing is tried again.",
        ),
        (
            {"strategy": {"mode": "fallback", "on_status_codes": []}, "targets": TWO},
            "config.strategy.on_status_codes: is empty, so nothing falls back.",
        ),
        (
            {"strategy": {"mode": "single"}, "targets": TWO},
            "config.targets[1]: is never reached: single uses the first target.",
        ),
        (
            {"strategy": {"mode": "loadbalance"}, "targets": [{"weight": 0}, {}]},
            "config.targets[0].weight: is 0, so the target is never chosen.",
        ),
        (
            {"strategy": {"mode": "conditional", "conditions": [{"query": {}, "then": "a"}], "default": "a"},
             "targets": [{"name": "a"}, {"name": "b"}]},
            "config.targets[1]: is never reached: no condition names it.",
        ),
        (
            {"strategy": {"mode": "loadbalance", "sticky": {"enabled": True}}, "targets": TWO},
            "config.strategy.sticky: sessions stay on their target without it; name hash_fields, or leave it out.",
        ),
        (
            {"strategy": {"mode": "loadbalance", "sticky": {"enabled": False, "ttl": 9}}, "targets": TWO},
            "config.strategy.sticky.ttl: has no effect: nothing is kept that could end.",
        ),
        (
            {"strategy": {"mode": "fallback", "sticky": {"enabled": False}}, "targets": TWO},
            "config.strategy.sticky: has an effect in a loadbalance alone.",
        ),
        (
            {"provider": "a", "on_status_codes": [500]},
            "config.on_status_codes: has no effect on a target; write it in strategy or retry.",
        ),
    ],
)  # fmt: skip
def test_what_is_doubtful_passes_with_a_warning(config: Any, warning: str) -> None:
    assert warned(parse_config(config)) == [warning]


def test_what_portkey_needs_for_a_provider_passes_in_silence() -> None:
    config = {
        "provider": "bedrock",
        "aws_region": "eu-1",
        "azure_foundry_url": "x",
        "strictOpenAiCompliance": False,
    }
    assert warned(parse_config(config)) == []


def test_a_header_is_json_of_bounded_length() -> None:
    route = parse_header(json.dumps({"provider": "a"}).encode())
    assert [target.provider for target in route.leaves] == ["a"]
    for text, fault in (
        (b"{", "is not valid JSON"),
        (b'"' + b"x" * 300_000 + b'"', "is longer than 262,144 bytes"),
    ):
        with pytest.raises(BadInput, match=f"x-portkey-config: {fault}"):
            parse_header(text)


def test_a_mirror_is_one_target_with_a_share() -> None:
    params = {"override_params": {"model": "n"}}
    route = parse_config({"provider": "a", "mirror": {"share": 0.1, "provider": "b", **params}})
    assert route.mirror is not None
    assert (route.mirror.share, route.mirror.target.provider) == (0.1, "b")
    assert [target.path for target in route.targets] == ["config", "config.mirror"]
    assert [target.path for target in route.leaves] == ["config"]
    assert parse_config({"provider": "a"}).mirror is None


@pytest.mark.parametrize(
    ("mirror", "fault"),
    [
        ({"provider": "b", "share": 0}, "config.mirror.share: must be a number above 0 and at most 1."),
        ({"provider": "b", "share": "0.5"}, "config.mirror.share: must be a number above 0 and at most 1."),
        ({"override_params": {"n": 1}}, "config.mirror.provider: is missing."),
        ({"provider": "b", "retry": {"attempts": 1}}, "config.mirror: is more than one target."),
        ({"provider": "b", "mirror": {"provider": "c"}}, "config.mirror: is more than one target."),
        ({"strategy": {"mode": "fallback"}, "targets": TWO}, "config.mirror: is more than one target."),
    ],
)
def test_what_is_no_mirror_is_refused(mirror: Any, fault: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_config({"provider": "a", "mirror": mirror})
    assert fault in str(refused.value)
