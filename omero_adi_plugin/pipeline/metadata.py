# SPDX-License-Identifier: GPL-2.0-or-later
"""Metadata: the key-values that people write down in a `metadata.csv` beside their files (contract, part 7).

The file beside the original counts first, then the one in its `.processed`, which wins key by key. What a person wrote there and
nobody can use is reported in the order's log and left out: a row too wide, a file in another encoding. A file that is there, and
that we may not read, fails what lies beside it instead: what is left out now is never added, and this a person can put right.
"""

from __future__ import annotations

import csv
import errno
import io
import logging
import os
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import NameImpossible, PathOutsideRoots
from omero_adi_plugin.importers.unreadable import unreadable
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Pairs = tuple[tuple[str, str], ...]

NAME = "metadata.csv"

LARGEST_BYTES = 2**20
"""A larger file is no list of key-values, and each fileset of its folder would have to carry it."""

MOST_PAIRS = 1000
"""So many pairs of one file are used: OMERO.web shows all of them at once, on each image."""

MOST_REPORTED = 20
"""So many rows of one file are reported; of a table of something else every row would be."""

COLUMNS = 2

_HEADER = ("key", "value")

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
"""Not blocking, and no link: between two looks somebody may put a pipe, or a link, in the place of the file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRow:
    """A row that is not used; `line` is the one that it begins in, counted from 1."""

    line: int
    why: str


class _Unusable(Exception):
    """The file is there and is not what is wanted; the text says why."""


class MetadataFiles:
    """The metadata files of one order; each is read once, however many files lie beside it. For use from several threads.

    Parameters
    ----------
    locate : callable
        Returns where a path leads, without links, and raises `PathOutsideRoots` if that is not for this order (the gate's).
    processed : str
        What the folder is called in which converters' files are kept, beside the original.
    order : str or None
        Its uuid, for the log.
    """

    def __init__(self, *, locate: Callable[[str], str], processed: str, order: str | None = None) -> None:
        self._locate, self._processed, self._order = locate, processed, order
        self._folders: dict[tuple[str, str | None], Pairs] = {}
        self._lock = threading.Lock()

    def of(self, path: str, *, late: str | None = None) -> Pairs:
        """Return the key-values for an original file, in their order; a key may be there several times.

        Parameters
        ----------
        path : str
            The original, absolute: an order's file, or of a fileset below an order's folder the file that is opened first.
        late : str, optional
            The file that counts last, if it is not the one in the folder of what is made of the originals.

        Raises
        ------
        SourceUnreadable, FileBroken
            A metadata file is there and cannot be read.
        ImportInterrupted
            Its file system does not answer at the moment.
        """
        folder = os.path.dirname(path)  # noqa: PTH120 (a text, for each of 100,000 files)
        with self._lock:
            if (folder, late) not in self._folders:
                self._folders[folder, late] = self._beside(folder, late or f"{folder}/{self._processed}/{NAME}")
            return self._folders[folder, late]

    def _beside(self, folder: str, last: str) -> Pairs:
        early, late = self._file(f"{folder}/{NAME}"), self._file(last)
        anew = {key for key, _ in late}
        return tuple(pair for pair in early if pair[0] not in anew) + late

    def _file(self, path: str) -> Pairs:
        try:
            text = self._text(path)
        except (_Unusable, PathOutsideRoots, NameImpossible) as error:
            self._report("metadata.skipped", file=path, why=str(error))
            return ()
        pairs, skipped = parse(text)
        for row in skipped[:MOST_REPORTED]:
            self._report("metadata.row_skipped", file=path, line=row.line, why=row.why)
        if len(skipped) > MOST_REPORTED:
            self._report("metadata.rows_skipped", file=path, rows=len(skipped), after_line=skipped[MOST_REPORTED - 1].line)
        return pairs

    def _text(self, path: str) -> str:
        """Return what is in a file; nothing if there is none."""
        place = self._locate(path)
        try:
            handle = os.open(place, _OPEN)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return ""
            if error.errno in {errno.ELOOP, errno.ENXIO}:  # a ring of links; a socket
                raise _Unusable("it is no ordinary file") from error
            if isinstance(error, PermissionError) and not _seen(place):
                raise _Unusable("its folder may not be looked into, so nobody knows whether it is there") from error
            raise unreadable(path, error) from error
        try:
            self._still_inside(place, handle)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _Unusable("it is no ordinary file")
            with open(handle, "rb", closefd=False) as file:
                return _decoded(file.read(LARGEST_BYTES + 1))
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(handle)

    def _still_inside(self, place: str, handle: int) -> None:
        """Refuse what was opened elsewhere: a folder above may have become a link since it was located."""
        try:
            opened = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 (a text)
        except OSError:  # without /proc nobody can tell
            return
        if opened != place:
            self._locate(opened)

    def _report(self, name: str, **facts: object) -> None:
        event(_log, logging.WARNING, name, order=self._order, **facts)


def parse(text: str) -> tuple[Pairs, tuple[SkippedRow, ...]]:
    r"""Return the pairs of a metadata file, and the rows that are none.

    Two columns a row, parted by a comma; quotes as in RFC 4180, so that a value may hold commas, quotes and ends of lines. Rows
    end with LF, CR LF or CR. Blanks around a key or a value do not count, nor do empty rows and, as the first one, `key,value`.
    A key that comes again has both of its values: whoever wants one, as programs that read them into a dictionary, has the last.

    Parameters
    ----------
    text : str
        Of any kind.
    """
    pairs: list[tuple[str, str]] = []
    skipped = []
    first = True
    for line, row in _rows(text):
        if isinstance(row, str):
            skipped.append(SkippedRow(line=line, why=row))
            continue
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        header, first = first and tuple(cell.casefold() for cell in cells) == _HEADER, False
        if header:
            continue
        if len(cells) != COLUMNS:
            columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
            skipped.append(SkippedRow(line=line, why=f"it has {columns}, not a key and a value parted by a comma"))
        elif not cells[0]:
            skipped.append(SkippedRow(line=line, why="it has no key"))
        elif len(pairs) == MOST_PAIRS:
            skipped.append(SkippedRow(line=line, why=f"{MOST_PAIRS} rows are used, this and all after it are not"))
            break
        else:
            pairs.append((cells[0], cells[1]))
    return tuple(pairs), tuple(skipped)


def _rows(text: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row, or what is wrong with it, with the line that it begins in."""
    # strict: else a quote that is never closed would make one value of all that follows, in silence
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"its quotes do not fit together ({error})"


def _seen(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def _decoded(data: bytes) -> str:
    """Return the text of a metadata file; raises `_Unusable`."""
    if len(data) > LARGEST_BYTES:
        raise _Unusable(f"it is larger than {LARGEST_BYTES // 2**20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unusable("it is not in UTF-8: save it as UTF-8, in a spreadsheet as 'CSV UTF-8'") from error
    if "\0" in text:  # UTF-16 of plain letters, without a mark at its beginning, is UTF-8 as well
        raise _Unusable("it holds characters that no text has: save it as UTF-8, in a spreadsheet as 'CSV UTF-8'")
    return text
