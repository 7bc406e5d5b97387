# SPDX-License-Identifier: GPL-2.0-or-later
"""Gate: which files an order may import, looked at before anybody else opens them.

One gate serves one order. It runs for every file, and an order may have 100,000: about 0.1 ms each, most of it for a TIFF's
directory.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.errors import (
    EntryFailed,
    FileBroken,
    FileMissing,
    FormatUnknown,
    ImportInterrupted,
    PathOutsideRoots,
    SourceUnreadable,
)
from omero_adi_plugin.importers.plans import AdmittedFile
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.importers.truncation import TIFF_MAGIC, check_tiff
from omero_adi_plugin.importers.unreadable import unreadable
from omero_adi_plugin.logs import event
from omero_adi_plugin.pipeline.access import Access, ServerAccount
from omero_adi_plugin.pipeline.names import check_name
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.pipeline.settling import Settling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.protocol import Session
    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

MAY_BE_EMPTY = (".fake", ".ini", ".txt", ".log", ".csv")
"""Ends of names of files that are whole without a byte: what Bio-Formats makes up by the name, and notes beside images."""

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
"""Not blocking, and no link: between two looks somebody may put a pipe, or a link, in the place of the file."""


class FileGate:
    """Implements `importers.plans.Gate` for one order; see there.

    Parameters
    ----------
    roots : Roots
        Where files may lie.
    reader_account : ServerAccount or None
        Who must be able to read the files besides us; None: nobody knows, or has to, so it is not checked.
    settle_seconds : float
        How long a file must not have changed.
    who : mapping of str to str
        Facts of the order for a security event.
    """

    def __init__(self, *, roots: Roots, reader_account: ServerAccount | None, settle_seconds: float, **who: str) -> None:
        self._roots = roots
        self._access = Access(reader_account)
        self._settling = Settling(settle_seconds)
        self._who = who

    @classmethod
    def of(cls, order: Order, *, session: Session, settings: Settings) -> Self:
        """Return the gate of an order.

        Raises
        ------
        StorageDown
            `base_dir` is not there.
        ConfigurationError
            The roots of the order's group lead out of it, or `server_account` is no account here.
        """
        return cls(
            roots=Roots.of(settings, order.group),
            reader_account=server_account(session, settings),
            settle_seconds=settings.settle_seconds,
            group=order.group,
            order=order.uuid,
            user=order.user,
        )

    def locate(self, path: str) -> str:
        """Return where a path leads, with links and `..` resolved; whether something is there is not asked.

        Raises
        ------
        NameImpossible, PathOutsideRoots
            It is not for this order.
        """
        check_name(path)
        try:
            return self._roots.locate(path)
        except PathOutsideRoots:
            self._report(path)
            raise

    def admit(self, path: str) -> AdmittedFile:
        """Return what is known of a file that may be imported; raises as `Gate.admit`.

        Also raises StorageDown if the file cannot be had because what it lies on is away.
        """
        place = self.locate(path)
        try:
            mode = os.lstat(place).st_mode
            if path.endswith(("/", "/.")) or not stat.S_ISREG(mode):
                raise _no_file(path, mode)
            handle = os.open(place, _OPEN)
        except OSError as error:
            raise self._unreadable(path, error) from error
        try:
            return self._look(path, place, handle)
        except OSError as error:
            raise self._unreadable(path, error) from error
        finally:
            os.close(handle)

    def source(self, path: str) -> str:
        """Return where a link to a file would point to; raises as `locate`."""
        return self._roots.source(self.locate(path))

    def changing(self, path: str) -> bool:
        """Say whether a file has changed within `settle_seconds`; what is refused, or no file, has not."""
        try:
            status = os.lstat(self.locate(path))
        except (EntryFailed, OSError):
            return False
        return stat.S_ISREG(status.st_mode) and self._settling.is_new(status.st_mtime_ns)

    def admit_folder(self, path: str) -> None:
        """Return if a folder may be looked into; raises as `Gate.admit`, and FormatUnknown if it is no folder."""
        place = self.locate(path)
        try:
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                raise FormatUnknown(path=path, why="it is no folder")
            handle = os.open(place, _OPEN | os.O_DIRECTORY)
        except OSError as error:
            raise self._unreadable(path, error) from error
        try:
            self._still_inside(path, handle)
            if not self._access.to_folder(place):
                raise SourceUnreadable(path=path, account=self._access.name)
            os.stat(".", dir_fd=handle)  # which asks whether we may open what is in it by its name
        except OSError as error:
            raise self._unreadable(path, error) from error
        finally:
            os.close(handle)

    def check_storage(self, path: str) -> None:
        """Return if it may be the file's own fault that it cannot be had.

        Raises
        ------
        StorageDown
            What it lies on is away.
        """
        with suppress(EntryFailed, ValueError):  # outside, or no path at all: nothing of it would ever be looked at
            self._roots.check_storage(self._roots.locate(path))

    def settle(self, files: Sequence[AdmittedFile], *, check: Callable[[], None]) -> None:
        """Return when the files of a fileset do not change any more; several threads may call at the same time.

        Parameters
        ----------
        files : sequence of AdmittedFile
            As this gate has admitted them.
        check : callable
            Asked while it waits, about twice a second; what it raises ends the waiting.

        Raises
        ------
        FileGrowing, FileMissing
            One has changed since it was admitted, or is gone.
        ImportInterrupted
            Its file system does not answer at the moment.
        """
        self._settling.wait(files, check=check)

    def _look(self, path: str, place: str, handle: int) -> AdmittedFile:
        self._still_inside(path, handle)
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _no_file(path, status.st_mode)
        if not self._access.to_file(place, status):
            raise SourceUnreadable(path=path, account=self._access.name)
        if status.st_size == 0 and not path.lower().endswith(MAY_BE_EMPTY):
            raise FileBroken(path=path, why="it is empty")
        if os.pread(handle, 4, 0) in TIFF_MAGIC:
            check_tiff(path, handle)
        source = self._roots.source(place)
        self._settling.note(source, status.st_mtime_ns)
        return AdmittedFile(path=path, source=source, bytes=status.st_size, mtime_ns=status.st_mtime_ns)

    def _still_inside(self, path: str, handle: int) -> None:
        """See to it that what was opened lies where it should: a folder above may have become a link since it was resolved."""
        try:
            opened = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 (a text)
        except OSError:  # without /proc nobody can tell
            return
        if not (self._roots.hold(opened) or self._roots.hold_by_any_name(opened)):
            self._report(path)
            raise self._roots.refusal(path)

    def _unreadable(self, path: str, error: OSError) -> AdiError:
        meaning = unreadable(path, error)
        if isinstance(meaning, (FileMissing, ImportInterrupted)):
            self._roots.check_storage(self._roots.locate(path))
        return meaning

    def _report(self, path: str) -> None:
        event(_log, logging.WARNING, "security.path_outside_roots", **self._who, path=path, leads_to=os.path.realpath(path))


def server_account(session: Session, settings: Settings) -> ServerAccount | None:
    """Return the account that runs OMERO.server, as far as anybody knows it; raises ConfigurationError if it is none here."""
    if settings.server_account is not None:
        return ServerAccount.named(settings.server_account)
    return ServerAccount.owner_of(ManagedRepository.of(session).root)


def _no_file(path: str, mode: int) -> FormatUnknown | FileMissing:
    if stat.S_ISDIR(mode):
        return FormatUnknown(path=path, why="it is a folder")
    if stat.S_ISREG(mode) or stat.S_ISLNK(mode):  # written as if it were a folder; links in a circle
        return FileMissing(path=path)
    return FormatUnknown(path=path, why="it is no ordinary file")
