# SPDX-License-Identifier: GPL-2.0-or-later
"""Report: all that is known of one order, for a person on about one screen, for programs as JSON."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.orders import FileStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_adi_plugin.orders import LedgerFile
    from omero_adi_plugin.tracking.views import OrderStatus

    Heads = tuple[str, ...]
    Rows = list[tuple[object, ...]]

MOST_LINES = 50
"""How long a report for a person may be; what it leaves out, it says."""

MOST_EVENTS = 6
"""How many stages, attempts and actions are shown, of each: the first one, then the newest ones."""

AROUND = 5
"""Lines around the files: an empty one and the heads before them, what is left out and the advice after them."""

FEWEST_FILES = 10
"""How many files are shown however much else there is to tell."""

MOST_IDS = 8
"""How many ids are shown of what a file became; and how many there are."""

_DONE = {FileStep.ANNOTATED, FileStep.SKIPPED}


def print_report(report: OrderStatus, *, as_json: bool) -> None:
    """Print where one order stands.

    Parameters
    ----------
    report : OrderStatus
        With files, stages, actions and attempts, as far as there are some.
    as_json : bool
        As contract 8 fixes it, for programs, with everything; else for people.
    """
    if as_json:
        printing.as_json(report.as_json())
        return
    printing.table(("order", report.uuid), list(_facts(report)))
    lines = len(list(_facts(report))) + 1
    for heads, rows in _events(report):
        printing.line("")
        printing.table(heads, rows)
        lines += len(rows) + 2
    if report.files:
        _print_files(report.files, room=max(FEWEST_FILES, MOST_LINES - lines - AROUND))
    if report.advice is not None:
        printing.line("")
        printing.line(report.advice)


def _facts(report: OrderStatus) -> Iterator[tuple[str, object]]:
    facts = (
        ("state", report.state),
        ("stage", report.stage),
        ("description", report.description),
        ("user", report.user),
        ("group", report.group),
        ("target", report.target),
        ("attempt", report.attempt),
        ("next try", report.next_try),
        ("carried out by", report.lease_owner),
        ("files", _counts(report.files or ())),
    )
    return (fact for fact in facts if fact[1] is not None)


def _counts(files: Sequence[LedgerFile]) -> str | None:
    """Return how many files have come how far, when there are several."""
    if len(files) < 2:  # noqa: PLR2004 (one is shown as it is)
        return None
    counts = Counter(file.step for file in files)
    steps = ", ".join(f"{counts[step]} {step}" for step in FileStep if counts[step])
    return f"{len(files)}: {steps}"


def _events(report: OrderStatus) -> Iterator[tuple[Heads, Rows]]:
    """Give the tables of what happened that have something in them."""
    stages: Rows = [(row.time, row.stage, row.description) for row in report.stages or ()]
    attempts: Rows = [(row.attempt, row.owner, row.started, row.ended, row.outcome, row.why) for row in report.attempts or ()]
    actions: Rows = [(row.at, row.who, row.action, row.detail) for row in report.actions or ()]
    tables: tuple[tuple[Heads, Rows], ...] = (
        (("time", "stage", "description"), stages),
        (("attempt", "by", "begun", "ended", "outcome", "why"), attempts),
        (("time", "who", "action", "detail"), actions),
    )
    for heads, rows in tables:
        if rows:
            yield heads, _newest(rows, width=len(heads))


def _newest(rows: Rows, *, width: int) -> Rows:
    """Return the first row and the newest ones, with a row between them that says how many are left out."""
    if len(rows) <= MOST_EVENTS:
        return rows
    gap = (f"… {len(rows) - MOST_EVENTS + 1} more", *[None] * (width - 1))
    return list(chain(rows[:1], [gap], rows[len(rows) - MOST_EVENTS + 2 :]))


def _print_files(files: Sequence[LedgerFile], *, room: int) -> None:
    """Print what became of the files; if there are too many for that, of those first that a person has to see to."""
    shown = list(files) if len(files) <= room else sorted(files, key=_rank)[:room]
    printing.line("")
    printing.table(
        ("step", "fileset", "images", "plates", "entry, or what is wrong with it"),
        [(file.step, file.fileset, _ids(file.images), _ids(file.plates), file.error or file.shown) for file in shown],
    )
    if len(shown) < len(files):
        printing.line(f"… {len(files) - len(shown)} more: --json shows all of them")


def _rank(file: LedgerFile) -> int:
    """Return how soon a person wants to see a file: what failed or is gone, then what is not done, then the others."""
    if file.step is FileStep.FAILED:
        return 0
    if file.error is not None and file.step is not FileStep.SKIPPED:
        return 1
    return 3 if file.step in _DONE else 2


def _ids(ids: tuple[int, ...]) -> str:
    """Return ids as a person can take them in: the first few, and how many there are."""
    return " ".join(map(str, ids[:MOST_IDS])) + (f" … ({len(ids)})" if len(ids) > MOST_IDS else "")
