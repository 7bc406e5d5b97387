# SPDX-License-Identifier: GPL-2.0-or-later
"""Ahead: a look at several files in one go, before they are planned one by one (decision 13)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from omero_adi_plugin.errors import AdiError, EntryFailed, PathOutsideRoots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from omero_adi_plugin.importers.claims import Claims
    from omero_adi_plugin.importers.plans import AdmittedFile, FileReader, Gate

_Coming = TypeVar("_Coming")

AHEAD = 32
"""So many files are looked at in one go: one by one, with other work in between, each costs a fifth more."""

SEEN_SECONDS = 30.0
"""So long it counts what was seen of one: until it is planned, imports of others may take hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the gate has said of a file, and until when that counts (`time.monotonic`)."""

    outcome: AdmittedFile | PathOutsideRoots
    until: float


class Ahead:
    """Looks at files that are planned next, and knows for a while what it has seen.

    Parameters
    ----------
    gate : Gate
        Is asked about each file first.
    reader : FileReader
        Is told of files that will be read.
    claims : Claims
        Files that are given away are not looked at.
    """

    def __init__(self, *, gate: Gate, reader: FileReader, claims: Claims) -> None:
        self._gate, self._reader, self._claims = gate, reader, claims
        self._seen: dict[str, _Seen] = {}

    def over(self, coming: Iterable[_Coming], path_of: Callable[[_Coming], str | None]) -> Iterator[_Coming]:
        """Give what is planned next one after the other, after a look at several files at once, which costs less for each.

        Parameters
        ----------
        coming : iterable
            What is planned next.
        path_of : callable
            Returns the path of each, None if it will not be planned. What is wrong with one is raised when it is planned.
        """
        left = iter(coming)
        while some := list(islice(left, AHEAD)):
            self._look([path for path in map(path_of, some) if path is not None])
            yield from some

    def _look(self, paths: Sequence[str]) -> None:
        """Have the gate and the reader look at files that are not taken yet; of refusals only the ones that stay are kept."""
        now = time.monotonic()
        self._seen = {path: seen for path, seen in self._seen.items() if now < seen.until}
        files = []
        for path in paths:
            if path in self._seen or self._claims.of(path) is not None:
                continue
            try:
                file = self._gate.admit(path)
            except PathOutsideRoots as refusal:
                self._seen[path] = _Seen(outcome=refusal, until=now + SEEN_SECONDS)
            except EntryFailed:
                continue  # a folder, or what may be there by then
            except AdiError:
                break  # a file system has gone away
            else:
                self._seen[path] = _Seen(outcome=file, until=now + SEEN_SECONDS)
                if self._claims.of(file.source) is None:
                    files.append(file)
        if len(files) > 1:
            self._reader.read_ahead(files)

    def admit(self, path: str) -> AdmittedFile:
        """Return what the gate knows of a file, and forget it; raises as `Gate.admit`."""
        seen = self._seen.pop(path, None)
        if seen is None or time.monotonic() > seen.until:
            return self._gate.admit(path)
        if isinstance(seen.outcome, PathOutsideRoots):
            raise seen.outcome  # which is in the log already
        return seen.outcome
