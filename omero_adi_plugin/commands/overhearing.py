# SPDX-License-Identifier: GPL-2.0-or-later
"""Overhearing: what a converter says while it runs, and what is worth knowing besides, on stderr for whoever tries it."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from omero_adi_plugin.commands.printing import printable
from omero_adi_plugin.logs import FactsFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

SAYS = "converter.says"
"""The event of a line that a converter has written."""

MARKS = {"stdout": ("out|", "dim"), "stderr": ("err|", "yellow")}
"""By stream, what stands before each line, and how it looks on a terminal."""


class _Overheard(logging.Handler):
    """Shows words of converters as they are, and of all else warnings, as the log has them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(FactsFormatter())
        self._console = Console(file=sys.stderr) if sys.stderr.isatty() else None

    def emit(self, record: logging.LogRecord) -> None:
        facts = getattr(record, "facts", {})
        if record.getMessage() == SAYS:
            mark, style = MARKS[facts["stream"]]
            cut = f" … ({facts['cut_bytes']} bytes more)" if facts.get("cut_bytes") else ""
            self._show(f"{mark} {facts['text']}{cut}", style)
        elif record.levelno >= logging.WARNING or record.getMessage() == "image.fetching":
            self._show(self.format(record), "")

    def _show(self, line: str, style: str) -> None:
        with suppress(OSError):  # whoever read along has gone
            if self._console is not None:
                self._console.print(Text(printable(line), style=style), soft_wrap=True)
            else:
                sys.stderr.write(f"{printable(line)}\n")
                sys.stderr.flush()


@contextmanager
def overheard() -> Iterator[None]:
    """Show meanwhile what would go to an order's log."""
    package = logging.getLogger("omero_adi_plugin")
    before = package.handlers, package.propagate, package.level
    package.handlers, package.propagate = [_Overheard()], False
    package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.handlers, package.propagate = before[:2]
        package.setLevel(before[2])
