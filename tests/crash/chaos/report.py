# SPDX-License-Identifier: GPL-2.0-or-later
"""Report: progress while it goes on, and at the end a table, the findings and one line that says all."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.crash.chaos.faults import Dealt
from tests.crash.chaos.findings import Finding, Promise
from tests.crash.chaos.plan import Dispatch

EVERY_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it."""

    orders: int
    seed: int
    dispatch: Dispatch
    seconds: float
    dealt: Sequence[Dealt]
    cut_off: set[tuple[str, int]]
    findings: Sequence[Finding]

    @property
    def went_well(self) -> bool:
        return not self.findings

    def line(self) -> str:
        counts = Counter(finding.promise for finding in self.findings)
        told = " ".join(f"{promise}={counts[promise]}" for promise in (Promise.LOST, Promise.DOUBLED, Promise.LEFTOVER))
        return f"chaos: dispatch={self.dispatch} orders={self.orders} kills={len(self.dealt)} {told} seed={self.seed}"

    def table(self) -> str:
        """For each kind of fault: how often it was dealt, and how many attempts it cut off."""
        lines = [f"{'fault':45} {'dealt':>6} {'attempts cut off':>18}"]
        for kind in self.dispatch.kinds:
            dealt = [each for each in self.dealt if each.fault.kind is kind]
            cut = len({attempt for each in dealt for attempt in each.running} & self.cut_off)
            lines.append(f"{kind.value:45} {len(dealt):6} {cut:18}")
        return "\n".join(lines)


class Teller:
    """Says how it goes, every few seconds."""

    def __init__(self) -> None:
        self.began = self._told = time.monotonic()

    def tell(self, words: str, *, now: bool = False) -> None:
        if now or time.monotonic() - self._told >= EVERY_SECONDS:
            self._told = time.monotonic()
            sys.stderr.write(f"{self._told - self.began:6.0f} s  {words}\n")
            sys.stderr.flush()
