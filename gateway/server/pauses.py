"""How long a worker's place stays empty after one has died."""

from __future__ import annotations

LONG_LIFE_SECONDS = 60.0
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0


class Pauses:
    """Pauses between the workers of one place: none after a long life, and longer after each short one, so that
    what cannot live does not keep the machine busy."""

    def __init__(self) -> None:
        self._next_seconds = 0.0

    def after(self, lived_seconds: float) -> float:
        """Return for how many seconds to wait, given how long the worker lived that has died now."""
        if lived_seconds >= LONG_LIFE_SECONDS:
            self._next_seconds = 0.0
        pause = self._next_seconds
        self._next_seconds = min(max(2 * pause, FIRST_SECONDS), LONGEST_SECONDS)
        return pause
