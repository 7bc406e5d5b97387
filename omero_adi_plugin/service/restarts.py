# SPDX-License-Identifier: GPL-2.0-or-later
"""Restarts: how soon a worker that died is replaced. At once; but less and less often if none gets as far as to do anything."""

from __future__ import annotations

import time

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
"""The pause after workers that died right after their start: doubled each time up to the longest."""


class Restarts:
    """When the next worker may be started."""

    def __init__(self) -> None:
        self._in_vain = 0
        self._not_before = float("-inf")
        self._said: str | None = None

    @property
    def due_seconds(self) -> float:
        """In how many s the next one may be started."""
        return max(0.0, self._not_before - time.monotonic())

    @property
    def on_trial(self) -> bool:
        """Whether one is enough to see if workers can be started again."""
        return self._in_vain > 0

    @property
    def why(self) -> str | None:
        """Why workers end before they do anything; None if they do not."""
        return self._said

    def failed(self, why: str) -> bool:
        """Take note of a worker that ended before it had done anything.

        Returns
        -------
        bool
            Whether this is to be said: it is not when the one before has ended for the same reason.
        """
        if not self.due_seconds:  # several that were started together are one failure
            self._not_before = time.monotonic() + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**self._in_vain)
            self._in_vain = min(self._in_vain + 1, 10)
        news, self._said = why != self._said, why
        return news

    def went_well(self) -> None:
        """Take note of a worker that does its work."""
        self._in_vain, self._not_before, self._said = 0, float("-inf"), None
