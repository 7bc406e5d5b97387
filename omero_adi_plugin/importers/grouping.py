# SPDX-License-Identifier: GPL-2.0-or-later
"""Grouping: which files are read together and what is in them, as far as it can be said without Bio-Formats.

That is: one TIFF or OME-TIFF, which holds everything it needs. All else is refused, with the reason. The server's own reader
decides what becomes of a file; what is counted here is for checks before the import.
"""

from __future__ import annotations

import errno
import logging
import os
import pwd
import stat
from pathlib import PurePath
from typing import TYPE_CHECKING

import tifffile

from omero_adi_plugin.errors import AdiError, FileBroken, FileMissing, FormatUnknown, ImportInterrupted, SourceUnreadable
from omero_adi_plugin.importers.directories import Damaged, DirectoryWalk
from omero_adi_plugin.importers.omexml import MetadataBroken, OmeXml
from omero_adi_plugin.importers.protocol import FilesetPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.orders import Entry

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is said by our own errors

OME_TIFF, TIFF = "loci.formats.in.OMETiffReader", "loci.formats.in.TiffDelegateReader"
"""Readers of Bio-Formats, by the names that OMERO wants in an import's version information."""

ONLY_TIFF = "only TIFF and OME-TIFF can be read in this version"

TIFF_MAGIC = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"})
"""First bytes of TIFF and BigTIFF (TIFF 6.0 specification, section 2)."""

VENDORS = frozenset(
    [
        "lsm",
        "stk",
        "ndpi",
        "scn",
        "svs",
        "bif",
        "qpi",
        "philips",
        "fluoview",
        "nih",
        "sis",
        "scanimage",
        "micromanager",
        "mmstack",
        "ndtiff",
        "metaseries",
        "fei",
        "indica",
        "eer",
        "streak",
        "agilent",
        "andor",
        "avs",
        "vista",
        "mdgel",
        "mediacy",
        "tvips",
        "dng",
    ]
)
"""Makers' kinds of TIFF, by tifffile's names: Bio-Formats has readers of their own for them, which may want more files."""

_MOUNT_TROUBLE = frozenset({errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EAGAIN})
"""What a network file system says while it is away: nothing against the file."""


def plan_entry(entry: Entry) -> Sequence[FilesetPlan]:
    """Say which filesets an entry holds; only headers are read.

    Raises
    ------
    FileMissing, SourceUnreadable, FormatUnknown, FileBroken
        The entry cannot be imported.
    ImportInterrupted
        The file system that it is on is not there at the moment.
    """
    path = entry.path
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise FormatUnknown(path=ascii(path), why="its name is no valid UTF-8, which OMERO cannot keep") from error
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # not blocking: the path may be a pipe
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        return (_plan_file(entry, handle),)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(handle)


def _plan_file(entry: Entry, handle: int) -> FilesetPlan:
    path, status = entry.path, os.fstat(handle)
    if stat.S_ISDIR(status.st_mode):
        raise FormatUnknown(path=path, why=f"it is a folder, and {ONLY_TIFF}")
    if not stat.S_ISREG(status.st_mode):
        raise FormatUnknown(path=path, why="it is no ordinary file")
    if status.st_size == 0:
        raise FileBroken(path=path, why="it is empty")
    if os.pread(handle, 4, 0) not in TIFF_MAGIC:
        raise FormatUnknown(path=path, why=ONLY_TIFF)
    try:
        planes = DirectoryWalk(handle).check()
    except Damaged as damage:
        raise FileBroken(path=path, why=str(damage)) from damage
    ome = _described(path, planes=planes, size=status.st_size)
    return FilesetPlan(
        entry=entry,
        key=path,
        used=(path,),
        reader=OME_TIFF if ome else TIFF,
        images=ome.images if ome else 1,
        plates=ome.plates if ome else 0,
        bytes=status.st_size,
        name=entry.name,
    )


def _described(path: str, *, planes: int, size: int) -> OmeXml | None:
    """Return what the file's metadata says of it, None for a plain TIFF; refuse what is more than one file."""
    try:
        with tifffile.TiffFile(path) as tiff:
            vendor = sorted(VENDORS & set(tiff.flags))
            text = tiff.ome_metadata if tiff.is_ome else None
            # ImageJ writes stacks over 4 GB with one directory, the planes one after the other behind it
            stack = tiff.imagej_metadata["images"] if tiff.is_imagej and planes == 1 and "images" in tiff.imagej_metadata else 1
            page = tiff.pages[0]
            end = page.dataoffsets[0] + stack * page.nbytes if int(stack) > 1 else 0
    except OSError:
        raise
    except Exception as error:  # tifffile raises what it meets on its way: struct.error, ValueError, KeyError, …
        raise FileBroken(path=path, why=f"it makes no sense as a TIFF ({error})") from error
    if vendor:
        raise FormatUnknown(path=path, why=f"it is a TIFF of the kind '{vendor[0]}', and {ONLY_TIFF}")
    if end > size:
        raise FileBroken(path=path, why=f"it ends before the last of its {stack} planes")
    if text is None:
        return None
    try:
        ome = OmeXml.read(text, name=PurePath(path).name)
    except MetadataBroken as problem:
        raise FileBroken(path=path, why=str(problem)) from problem
    if ome.others:
        raise FormatUnknown(
            path=path, why=f"it is only one of several files that belong together (another is '{ome.others[0]}'), and {ONLY_TIFF}"
        )
    if ome.images == 0:
        raise FileBroken(path=path, why="its OME-XML describes no image")
    if ome.last_plane >= planes:
        raise FileBroken(path=path, why=f"its OME-XML speaks of {ome.last_plane + 1} planes, and there are {planes}")
    return ome


def _unreadable(path: str, error: OSError | ValueError) -> AdiError:
    if isinstance(error, PermissionError):
        return SourceUnreadable(path=path, account=_account())
    number = error.errno if isinstance(error, OSError) else None
    if number in _MOUNT_TROUBLE:
        return ImportInterrupted(path=path, words=f"its file system does not answer ({os.strerror(number or 0)})")
    if number == errno.EIO:
        return FileBroken(path=path, why="reading it fails with an input/output error")
    if number == errno.ENXIO:
        return FormatUnknown(path=path, why="it is no ordinary file")
    return FileMissing(path=path)


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
