# SPDX-License-Identifier: GPL-2.0-or-later
"""In logs: what must never be in one, whatever is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.crash.chaos.findings import Finding, Promise

OURS = (
    "event=attempt.broke",
    "event=worker.broke",
    "event=script.broke",
    "event=importer.another",
    "Traceback (most recent call last)",
)
"""Faults of our own: what went wrong there is not understood."""

OMEROS = ("not implemented: ", "Traceback (most recent call last)")
LONGEST = 400


def check_logs(folder: Path) -> Iterator[Finding]:
    """Look into the logs of services and of OMERO."""
    for place in sorted(folder.glob("service-*")):
        for log in (place / "app.logs", place / "serve.err"):
            yield from _lines(log, OURS)
    for log in sorted(folder.glob("hosts/*/log/app.logs")):
        yield from _lines(log, OURS)
    yield from _lines(folder / "omero.log", OMEROS)


def _lines(log: Path, words: tuple[str, ...]) -> Iterator[Finding]:
    if log.exists():
        with log.open(errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if any(word in line for word in words):
                    yield Finding(Promise.FAULT, f"{log}:{number}: {line.strip()[:LONGEST]}")
