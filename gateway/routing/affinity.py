"""Affinity: a session stays on the target whose prompt cache is warm, without a word of configuration."""

import math
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from gateway.models.experiment import Experiment
from gateway.models.route import RouteNode, RouteStrategy

# Sessions that left their target because it failed.
MAX_MOVED_SESSIONS = 10_000

_HASH_BYTES = 8


def rank_for_session(session: str, targets: Sequence[RouteNode]) -> list[RouteNode]:
    """Return the targets in the order in which a session prefers them: the same in every process, for ever.

    Over many sessions each target comes first in proportion to its weight, and a change of weights or targets moves
    no more sessions than it must: weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed
    Hash Tables", SPAA 2005). Targets without weight are left out.
    """
    seen: Counter[str] = Counter()
    ranked: list[tuple[float, RouteNode]] = []
    for target in targets:
        called = target.name or getattr(target, "provider", None) or ""
        # Targets of one provider differ by their place among these.
        draw = _draw(f"{session}\0{called}\0{seen[called]}")
        seen[called] += 1
        if target.weight:
            ranked.append((target.weight / -math.log(draw), target))
    return [target for _, target in sorted(ranked, key=lambda each: -each[0])]


def is_held_out(experiment: Experiment, unit: str) -> bool:
    """Tell whether an experiment with a chosen variant goes on for a unit, whichever it was assigned to."""
    return _draw(f"holdout\0{experiment.label}\0{unit}") < experiment.holdout


def assign_variant(experiment: Experiment, unit: str, targets: Sequence[RouteNode]) -> RouteNode:
    """Return the variant of a unit, alike in every process."""
    return rank_for_session(f"{experiment.label}\0{unit}", targets)[0]


def _draw(text: str) -> float:
    # Between 0 and 1, and neither.
    digest = blake2b(text.encode(errors="replace"), digest_size=_HASH_BYTES).digest()
    return (int.from_bytes(digest, "big") + 1) / float(2 ** (8 * _HASH_BYTES) + 2)


@dataclass(slots=True)
class SessionAffinity:
    """The targets of sessions: the first that each prefers, or, since that failed, another; bounded."""

    _moved: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict, init=False)

    def choose(self, session: str, strategy: RouteStrategy) -> RouteNode:
        ranked = rank_for_session(session, strategy.targets)
        path = self._moved.get((session, strategy.path))
        return next((target for target in ranked if target.path == path), ranked[0])

    def leave(self, session: str, strategy: RouteStrategy, failed: RouteNode) -> None:
        """Send the session's next requests to the target that it prefers after one that failed."""
        ranked = rank_for_session(session, strategy.targets)
        position = ranked.index(failed) if failed in ranked else -1
        key = (session, strategy.path)
        self._moved[key] = ranked[(position + 1) % len(ranked)].path
        self._moved.move_to_end(key)
        if len(self._moved) > MAX_MOVED_SESSIONS:
            self._moved.popitem(last=False)
