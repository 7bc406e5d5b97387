# SPDX-License-Identifier: GPL-2.0-or-later
"""Convert: the subcommand that tries a converter, and shows what an order would import of what it makes."""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.asking import parameters_of
from omero_adi_plugin.commands.imports import absolute
from omero_adi_plugin.commands.overhearing import overheard
from omero_adi_plugin.commands.plan import size
from omero_adi_plugin.commands.using import settings_without_database
from omero_adi_plugin.containers.folders import clear
from omero_adi_plugin.errors import (
    ConverterFailed,
    ConverterKilled,
    ConverterLied,
    ConverterNotStarted,
    NothingConverted,
    OrderFailed,
    OrderMalformed,
    PodmanDown,
    SurroundingsDown,
    UsageError,
    quoted,
)
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.service.trial import try_converter

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.preprocessing import ConvertedFile, ConvertedFileset
    from omero_adi_plugin.service.trial import Tried
    from omero_adi_plugin.settings import Settings

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a process."""

ALLOWED_FOR_THIS = (
    "No settings say which converters may run (`containers: allow:`), so this one may for this once; orders would be refused."
)


class NoPodman(SurroundingsDown):
    """Podman, which runs converters, is not there, or does not answer; `why` is a clause."""

    def __init__(self, *, why: str) -> None:
        super().__init__(f"No converter can run here: {why}.")
        self.why = why


class ConversionFailed(OrderFailed):
    """A conversion that was only tried has failed: what an order would say, without an order's log to look at."""


def run(args: Namespace) -> None:
    """Convert one file or folder, and show what would be imported.

    Raises
    ------
    ConversionFailed
        The converter failed, or something of what it made could not be imported.
    NoPodman
        Converters cannot run here.
    """
    preprocessing = _preprocessing(args)
    path = absolute(args.path)
    settings, said = settings_without_database(args)
    if "containers" not in said:
        settings = settings.model_copy(update={"containers": {"allow": (preprocessing.container,)}})
        printing.note(ALLOWED_FOR_THIS)
    with (
        _ended_by_signals(),
        _kept(args.keep) as keep,
        _room(settings, given="converter_temp" in said) as settings,
        overheard(),
    ):
        tried = _tried(settings, path, preprocessing, keep)
    if args.as_json:
        printing.as_json(_document(path, tried, keep))
    else:
        _print(path, tried, keep)
    if tried.failures:
        raise ConversionFailed(" ".join(map(_sentence, tried.failures)))


def _preprocessing(args: Namespace) -> Preprocessing:
    """Return what the converter is to do; raises UsageError."""
    try:
        return Preprocessing(
            id=0,
            container=args.container.strip(),
            parameters=tuple(parameters_of(args.parameters or ()).items()),
        )
    except OrderMalformed as error:
        raise UsageError(f"Nothing was converted: {error.problem}.") from error


def _tried(settings: Settings, path: str, preprocessing: Preprocessing, keep: Path | None) -> Tried:
    """Have it converted; what keeps it from that is told without what only concerns orders."""
    try:
        return try_converter(settings, path, preprocessing, keep=keep)
    except PodmanDown as error:
        raise NoPodman(why=error.why) from error
    except (ConverterFailed, ConverterLied, NothingConverted, ConverterKilled, ConverterNotStarted) as error:
        raise ConversionFailed(_sentence(error)) from error


def _sentence(error: AdiError) -> str:
    """Return what went wrong: an order's own sentence speaks of its log, and of being tried again."""
    if isinstance(error, ConverterFailed):
        return f"The converter could not convert {quoted(error.path)}: {error.why}."
    if isinstance(error, ConverterLied):
        return f"What the converter says that it has made of {quoted(error.path)} cannot be imported: {error.why}."
    if isinstance(error, NothingConverted):
        return f"The converter made nothing of {quoted(error.path)}."
    return str(error)


@contextlib.contextmanager
def _room(settings: Settings, *, given: bool) -> Iterator[Settings]:
    """Have converters write to the folder that the settings name, or else to one of our own that is gone afterwards."""
    if given:
        yield settings
        return
    folder = Path(tempfile.mkdtemp(prefix="adi-convert-")).resolve()
    try:
        yield settings.model_copy(update={"converter_temp": folder})
    finally:
        clear(folder)


@contextlib.contextmanager
def _kept(name: str | None) -> Iterator[Path | None]:
    """Give the folder that is to get the outputs; one that was made for them goes if there are none in the end.

    Raises
    ------
    UsageError
        It cannot be made, or something is in it.
    """
    if name is None:
        yield None
        return
    folder = Path(name).absolute()
    there = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"--keep needs a folder, and {quoted(str(folder))} is none that can be used: {error.strerror}."
        ) from error
    if not empty:
        raise UsageError(f"--keep needs an empty folder, or one that is not there yet: something lies in {quoted(str(folder))}.")
    try:
        yield folder
    finally:
        if not there:
            with contextlib.suppress(OSError):  # there is something in it
                folder.rmdir()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the first signal that ends a process raise here, and have none disturb what is tidied up then."""

    def end(number: int, _: object) -> NoReturn:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(path: str, tried: Tried, keep: Path | None) -> None:
    rows: list[tuple[object, ...]] = [
        (_output(each), each.title, each.format, each.images, each.plates, size(_bytes(each)), each.files[0].place)
        for each in tried.filesets
    ]
    rows += [(file.name, None, "kept, not imported", None, None, size(file.bytes), file.place) for file in tried.loose]
    printing.table(("output", "name", "format", "images", "plates", "size", "would be kept as"), rows)
    pairs = [(_output(each), key, value) for each in tried.filesets for key, value in each.keyvalues]
    if pairs:
        printing.line("")
        printing.table(("output", "key", "value"), pairs)
    printing.line("")
    images, plates = sum(each.images for each in tried.filesets), sum(each.plates for each in tried.filesets)
    amount = f"{len(tried.filesets)} filesets, {images} images, {plates} plates"
    kept = f"the outputs are in {keep}" if keep else "nothing was kept"
    printing.line(f"{amount} of {path}, made by {tried.image.name} in {tried.seconds:.1f} s; nothing was imported, {kept}")
    printing.note(
        f"read with Bio-Formats {tried.version}" if tried.version else "read without Bio-Formats: only TIFF and OME-TIFF"
    )


def _output(made: ConvertedFileset) -> str:
    more = len(made.files) - 1
    return f"{made.files[0].name} (and {more} more)" if more else made.files[0].name


def _bytes(made: ConvertedFileset) -> int:
    return sum(file.bytes for file in made.files)


def _file(file: ConvertedFile) -> dict[str, Any]:
    return {"name": file.name, "bytes": file.bytes, "place": file.place}


def _document(path: str, tried: Tried, keep: Path | None) -> dict[str, Any]:
    return {
        "path": path,
        "container": tried.image.name,
        "digest": tried.image.digest,
        "seconds": round(tried.seconds, 3),
        "bioformats": tried.version,
        "outputs": [
            {
                "key": each.key,
                "files": [_file(file) for file in each.files],
                "name": each.title,
                "format": each.format,
                "reader": each.reader,
                "images": each.images,
                "plates": each.plates,
                "keyvalues": [list(pair) for pair in each.keyvalues],
            }
            for each in tried.filesets
        ],
        "not_imported": [_file(file) for file in tried.loose],
        "failures": [{"error": type(failure).__name__, "why": _sentence(failure)} for failure in tried.failures],
        "kept": None if keep is None else str(keep),
    }
