"""VoteLimits: how many votes a caller may give in a minute."""

from __future__ import annotations

import time
from collections import OrderedDict

from gateway.domain.principal import Principal
from gateway.errors import TooLarge, TooManyRequests

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

MAX_CALLERS = 50_000
"""How many callers are remembered. If more than that vote within a minute, those that have not voted for the
longest are forgotten, and may begin anew."""


class VoteLimits:
    """Lets each caller give so many votes at once, and one more whenever that fraction of a minute has passed.

    All that is remembered of a caller is when it will have its votes back (the generic cell rate algorithm, ITU-T
    I.371), so memory is bounded.

    Args:
        votes_a_minute: may be changed while votes come in.
    """

    def __init__(self, votes_a_minute: int) -> None:
        self.votes_a_minute = votes_a_minute
        self._has_all_back_at_ns: OrderedDict[Principal, int] = OrderedDict()

    def spend(self, caller: Principal, votes: int) -> None:
        """Count votes that a caller is about to give, all or none.

        Raises:
            TooManyRequests: it may not give so many now; says when it may.
            TooLarge: it may never give so many at once.
        """
        most = self.votes_a_minute
        if votes > most:
            raise TooLarge(
                f"holds {votes:,} votes; a feedback token may give {most:,} a minute.", field="body"
            )
        now_ns = time.monotonic_ns()
        has_back_at_ns = max(self._has_all_back_at_ns.get(caller, 0), now_ns) + votes * (MINUTE_NS // most)
        wait_ns = has_back_at_ns - MINUTE_NS - now_ns
        if wait_ns > 0:
            raise TooManyRequests(
                f"a feedback token may give {most:,} votes a minute.",
                retry_after_seconds=-(-wait_ns // SECOND_NS),
            )
        self._has_all_back_at_ns[caller] = has_back_at_ns
        self._has_all_back_at_ns.move_to_end(caller)
        if len(self._has_all_back_at_ns) > MAX_CALLERS:
            self._has_all_back_at_ns.popitem(last=False)
