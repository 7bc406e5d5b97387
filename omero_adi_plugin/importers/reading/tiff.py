# SPDX-License-Identifier: GPL-2.0-or-later
"""TIFF: what can be read without Bio-Formats, which is one TIFF or OME-TIFF that holds everything it needs.

The server's own reader decides what becomes of a file; what is counted here is for the plan and its checks.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import PurePath
from typing import TYPE_CHECKING

import tifffile

from omero_adi_plugin.errors import FileBroken, FormatUnknown
from omero_adi_plugin.importers.omexml import MetadataBroken, OmeXml
from omero_adi_plugin.importers.plans import Reading
from omero_adi_plugin.importers.truncation import TIFF_MAGIC, check_tiff
from omero_adi_plugin.importers.unreadable import unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.plans import AdmittedFile

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is said by our own errors

OME_TIFF, TIFF = "loci.formats.in.OMETiffReader", "loci.formats.in.TiffDelegateReader"
"""Readers of Bio-Formats, by the names that OMERO wants in an import's version information."""

_FORMATS = {OME_TIFF: "OME-TIFF", TIFF: "Tagged Image File Format"}
"""What Bio-Formats calls the formats of these readers."""

_VENDOR_WORDS = """
    lsm stk ndpi scn svs bif qpi philips fluoview nih sis scanimage micromanager mmstack ndtiff metaseries fei indica eer streak
    agilent andor avs vista mdgel mediacy tvips dng
"""
VENDORS = frozenset(_VENDOR_WORDS.split())
"""Makers' kinds of TIFF, by tifffile's names: Bio-Formats has readers of their own for them, which may want more files."""


class TiffReader:
    """Reads single TIFF and OME-TIFF files by tifffile; a `plans.FileReader`.

    Parameters
    ----------
    why : str
        Why there is no Bio-Formats, as the end of a sentence: "no Java is installed".
    """

    def __init__(self, why: str) -> None:
        self._only = f"without Bio-Formats only TIFF and OME-TIFF can be read, and {why}"

    @property
    def version(self) -> None:
        """There is no Bio-Formats."""
        return

    def read(self, file: AdmittedFile) -> Reading:
        """Say how many images a file holds; only headers are read.

        Raises
        ------
        FormatUnknown
            It is no TIFF, a maker's own kind of TIFF, or one of several files that belong together.
        FileBroken
            It ends too early, or makes no sense.
        SourceUnreadable, FileMissing
            It has changed since it was admitted.
        ImportInterrupted
            The file system that it is on is not there at the moment.
        """
        try:
            handle = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # not blocking: it may be a pipe by now
        except (OSError, ValueError) as error:
            raise unreadable(file.path, error) from error
        try:
            return self._read(file.path, handle)
        except OSError as error:
            raise unreadable(file.path, error) from error
        finally:
            os.close(handle)

    def read_ahead(self, files: Sequence[AdmittedFile]) -> None:
        """Do nothing: to open many at a time would not be faster."""

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _read(self, path: str, handle: int) -> Reading:
        if not stat.S_ISREG(os.fstat(handle).st_mode) or os.pread(handle, 4, 0) not in TIFF_MAGIC:
            raise FormatUnknown(path=path, why=self._only)
        planes = check_tiff(path, handle)
        ome = self._described(path, planes=planes)
        reader = OME_TIFF if ome else TIFF
        return Reading(
            used=(path,),
            reader=reader,
            format=_FORMATS[reader],
            images=ome.images if ome else 1,
            plates=ome.plates if ome else 0,
        )

    def _described(self, path: str, *, planes: int) -> OmeXml | None:
        """Return what the file's metadata says of it, None for a plain TIFF; refuse what is more than one file."""
        try:
            with tifffile.TiffFile(path) as tiff:
                vendor = sorted(VENDORS & set(tiff.flags))
                text = tiff.ome_metadata if tiff.is_ome else None
        except OSError:
            raise
        except Exception as error:  # tifffile raises what it meets on its way: struct.error, ValueError, KeyError, …
            raise FileBroken(path=path, why=f"it makes no sense as a TIFF ({error})") from error
        if vendor:
            raise FormatUnknown(path=path, why=f"it is a TIFF of the kind '{vendor[0]}'; {self._only}")
        if text is None:
            return None
        try:
            ome = OmeXml.read(text, name=PurePath(path).name)
        except MetadataBroken as problem:
            raise FileBroken(path=path, why=str(problem)) from problem
        if ome.others:
            why = f"it is one of several files that belong together (another is '{ome.others[0]}'); {self._only}"
            raise FormatUnknown(path=path, why=why)
        if ome.images == 0:
            raise FileBroken(path=path, why="its OME-XML describes no image")
        if planes and ome.last_plane >= planes:
            raise FileBroken(path=path, why=f"its OME-XML speaks of {ome.last_plane + 1} planes, and there are {planes}")
        return ome
