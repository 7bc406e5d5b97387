# SPDX-License-Identifier: GPL-2.0-or-later
"""Attended: work with OMERO that a person waits for: how far it is, on stderr, and what is said when it is cut off."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from omero_adi_plugin.commands import printing
from omero_adi_plugin.errors import ConnectionBroken, CutOff, ServerTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = 10
"""Without a terminal so many lines tell how far it is, at most."""


@contextmanager
def counted(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be told how many of how many are done: a bar on a terminal, else a line for each tenth.

    Parameters
    ----------
    doing : str
        To stand beside the numbers: "filesets looked at".
    """
    if not sys.stderr.isatty():
        told = [-1]

        def tell(done: int, total: int) -> None:
            part = done * PARTS // total if total else PARTS
            if part != told[0]:
                told[0] = part
                printing.note(f"{done}/{total} {doing}")

        yield tell
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def cut_off_in_words() -> Iterator[None]:
    """Say of a connection that broke that the command can be run again: nobody does that by himself, as for an order.

    Raises
    ------
    CutOff
        OMERO ended the connection, or could not answer.
    """
    try:
        yield
    except ConnectionBroken as error:
        raise CutOff(why=f"The connection to OMERO was lost while {error.doing}.") from error
    except ServerTrouble as error:
        raise CutOff(why=f"OMERO.server reported an error while {error.doing}: {error.words}.") from error
