# SPDX-License-Identifier: GPL-2.0-or-later
"""Printing: facts on stdout, as a table for people, as tab-separated lines for pipes, as JSON for programs.

What comes from the database was written by others: control characters in it must not reach a terminal.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def as_json(value: object) -> None:
    """Print a value as JSON, in ASCII: paths may hold bytes that no encoding has a character for."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def line(text: str) -> None:
    """Print one line."""
    sys.stdout.write(printable(text) + "\n")


def note(text: str) -> None:
    """Tell the person at the terminal something that is no result, on stderr."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, one_line: bool = False) -> None:
    """Print a table: coloured on a terminal, else one line a row with tabs between the cells.

    Parameters
    ----------
    heads : sequence of str
        One a column.
    rows : iterable of sequence
        Cells; None is shown as nothing, a time as the local one.
    one_line : bool
        On a terminal too narrow for it the last column is cut, not wrapped.
    """
    cells = [[printable(_text(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(heads), *cells]:
            sys.stdout.write("\t".join(row) + "\n")
        return
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=one_line)
    for head in heads[:-1]:
        shown.add_column(head, no_wrap=True)
    shown.add_column(heads[-1], no_wrap=one_line, overflow="ellipsis" if one_line else "fold", ratio=1 if one_line else None)
    for row in cells:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(file=sys.stdout).print(shown)


_STYLES = {
    "completed": "green",
    "failed": "red",
    "running": "yellow",
    "Import Completed": "green",
    "Import Failed": "red",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
}


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return str(cell)


def printable(text: str) -> str:
    """Replace what would move the cursor, break a row or cannot be encoded."""
    encoding = sys.stdout.encoding or "utf-8"
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return clean.encode(encoding, errors="replace").decode(encoding)
