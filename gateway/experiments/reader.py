"""ExperimentReader: the experiments of the configuration, and what the store knows of them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.errors import NotFound
from gateway.experiments.results import ExperimentResult, VariantSums, evaluate
from gateway.models.clock import now_us
from gateway.models.experiment import Experiment, Unit
from gateway.models.filters import Comparison, Op
from gateway.models.metrics import FeedbackSums, GroupKey, MetricsQuery, UsageSums
from gateway.models.route import Route, RouteMode, RouteNode, RouteTarget
from gateway.query.compare import Arm
from gateway.store.base import Queries

# Columns of rows that say which unit it was.
_UNIT_COLUMNS = {Unit.USER: "user", Unit.SESSION: "session"}


class ExperimentReader:
    # Anew at each question, so that all nodes say the same.

    def __init__(self, store: Queries, routes: Callable[[], Sequence[Route]]) -> None:
        self._store = store
        self._routes = routes

    @property
    def experiments(self) -> list[Experiment]:
        return [route.experiment for route in self._routes() if route.experiment is not None]

    async def read_all(self, tenant: str | None) -> list[ExperimentResult]:
        """Return the results of all experiments, in the order of the configuration."""
        return [await self._read(route, tenant) for route in self._routes() if route.experiment is not None]

    async def read(self, name: str, tenant: str | None) -> ExperimentResult:
        """Return the results of an experiment's version of now. Raises NotFound."""
        for route in self._routes():
            if route.experiment is not None and route.experiment.name == name:
                return await self._read(route, tenant)
        known = ", ".join(each.name for each in self.experiments) or "none"
        raise NotFound(
            f"no route called {name[:100]!r} has an experiment.", hint=f"Those that have: {known}."
        )

    async def _read(self, route: Route, tenant: str | None) -> ExperimentResult:
        experiment = route.experiment
        assert experiment is not None, "only routes with an experiment are read"
        where = Comparison("experiment", Op.EQ, experiment.label)
        query = MetricsQuery(0, now_us() + 1, where, group_by="variant", tenant=tenant)
        usage, feedback, latencies, people, units = await asyncio.gather(
            self._store.usage(replace(query, then_by="target")),
            self._store.feedback_sums(query),
            self._store.latencies(query),
            self._store.people(query, experiment.source),
            self._units(query, experiment.unit),
        )
        sums: dict[str, VariantSums] = {}
        for name, variant in zip(experiment.variants, route.variants, strict=True):
            key, first = GroupKey(value=name), _first_target(variant)
            of_targets = {key.second: found for key, found in usage.items() if key.value == name}
            total = sum(of_targets.values(), UsageSums())
            arm = Arm(
                name, total, feedback.get(key, FeedbackSums()), latencies.get(key, {}), people.get(name, {})
            )
            others = (found.requests for target, found in of_targets.items() if target != first)
            crossed = 0 if first is None else sum(others)
            sums[name] = VariantSums(arm, crossed, None if units is None else units[name])
        # Many people take long, and other callers' streams share the event loop.
        return await asyncio.to_thread(evaluate, experiment, sums)

    async def _units(self, query: MetricsQuery, unit: Unit) -> Counter[str] | None:
        """Return how many units each variant has; None where they are traces, which rows do not group by."""
        if (column := _UNIT_COLUMNS.get(unit)) is None:
            return None
        found = await self._store.usage(replace(query, then_by=column))
        return Counter(str(key.value) for key in found if key.second is not None)


def _first_target(variant: RouteNode) -> str | None:
    """Return the name that rows have for the target that a variant tries first; None where that differs."""
    while not isinstance(variant, RouteTarget):
        if variant.mode not in (RouteMode.SINGLE, RouteMode.FALLBACK):
            return None
        variant = variant.targets[0]
    return variant.name or variant.path
