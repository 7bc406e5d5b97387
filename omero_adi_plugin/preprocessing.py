# SPDX-License-Identifier: GPL-2.0-or-later
"""Preprocessing: what a converter is to make of the files of an order before they are imported, and what it has made.

`PreprocessingText` is what a row of `imports_preprocessing` holds, perhaps nonsense; `Preprocessing` is one that makes sense.
The rest is what is kept of a conversion that came to its end, so that it is not run again.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from unicodedata import category

from omero_adi_plugin.errors import OrderMalformed, quoted

FILES = "{Files}"
"""Stands in values of an order for the path of the file to convert, as the container sees it."""

RESERVED = frozenset({"inputfile", "outputfolder", "altoutputfolder"})
"""Options of a converter that say where it reads and writes: an order that gave another value could have it read another file."""

PROCESSED_IN_CONTAINER = ".processed"
"""What the folder of outputs is called in the container, below the folder of the source (contract 6), whatever it is outside."""

_KERNEL_FOLDERS = ("/proc", "/sys", "/dev")
"""Where nothing may be mounted in a container, because its runtime has things of its own there."""

LONGEST_SHOWN = 80
"""So many characters of what a column holds are repeated in a sentence about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What a converter is to do with each entry of an order.

    id:                of the row in `imports_preprocessing`; 0 if there is none, as for a conversion that is only tried.
    container:         the image, as the order names it.
    input_file:        what `--inputfile` is, usually `{Files}`.
    output_folder:     absolute path in the container at which the folder of the input is mounted.
    alt_output_folder: the same of the folder for outputs from which is imported; None: it is imported from `.processed`.
    parameters:        further options, each a name and a text.
    """

    id: int
    container: str
    input_file: str = FILES
    output_folder: str = "/data"
    alt_output_folder: str | None = "/out"
    parameters: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _check(self.container, column="container")
        _check(self.input_file, column="input_file")
        _check_folder(self.output_folder, column="output_folder")
        if self.alt_output_folder is not None:
            _check_folder(self.alt_output_folder, column="alt_output_folder")
            if _within(self.alt_output_folder, self.output_folder) or _within(self.output_folder, self.alt_output_folder):
                folders = f"{_shown(self.output_folder)} and {_shown(self.alt_output_folder)}"
                raise _malformed("alt_output_folder", f"the folders {folders} of the preprocessing lie in one another")
        for name, value in self.parameters:
            _check_parameter(name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessingText:
    """What an order's row in `imports_preprocessing` holds; any of it may be nonsense. extra_params: JSON text."""

    id: int
    container: str
    input_file: str
    output_folder: str
    alt_output_folder: str | None
    extra_params: str | None

    def read(self) -> Preprocessing:
        """Return the preprocessing that this text means.

        Raises
        ------
        OrderMalformed
            With the column at fault and what is wrong with it.
        """
        return Preprocessing(
            id=self.id,
            container=self.container.strip(),
            input_file=self.input_file,
            output_folder=_tidied(self.output_folder),
            alt_output_folder=_tidied(self.alt_output_folder) if self.alt_output_folder else None,
            parameters=_parameters(self.extra_params),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedFile:
    """A file that a converter has made, and that is kept.

    name:     its path below the folder that the converter wrote it to, with `/`.
    place:    absolute path of where it is kept, beside the source; links resolved.
    bytes:    its size.
    mtime_ns: its time of modification, in ns since 1970.
    """

    name: str
    place: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedFileset:
    """Files that a converter has made and that are read together.

    key:       names the fileset within its order, see `orders.Marker`: `<entry>#<smallest name of a file>`.
    files:     all of them; the first is the one to open.
    title:     what the images are to be called; None: as the file.
    keyvalues: what the converter says of them, each a key and a text; a key may come several times.
    temp:      the folder that the converter wrote them to, and in which OMERO's links lead to them at first; None: they are
               imported from where they are kept.
    reader, format, images, plates: as in `importers.plans.Reading`.
    former:    the same as `temp`, of earlier runs of the converter, if it was imported from there and had to be made anew.
    """

    key: str
    files: tuple[ConvertedFile, ...]
    title: str | None
    keyvalues: tuple[tuple[str, str], ...]
    temp: str | None
    reader: str
    format: str
    images: int
    plates: int
    former: tuple[str, ...] = ()

    @property
    def temps(self) -> tuple[str, ...]:
        """All folders in which links may still lead to it."""
        return self.former if self.temp is None else (*self.former, self.temp)

    @property
    def places(self) -> dict[str, str]:
        """Where each file is kept, by the paths that links may still lead to."""
        return {f"{temp}/{file.name}": file.place for temp in self.temps for file in self.files}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a converter has made of one entry.

    digest:    of the image that ran, `sha256:…`.
    filesets:  what is to be imported.
    loose:     what else it wrote beside what is imported.
    staging:   the folder beside the source from which they are brought to where they are kept.
    delivered: whether all of them are there.
    whole:     nothing of it failed, so that there is no reason to run the converter again.
    """

    entry: str
    digest: str
    filesets: tuple[ConvertedFileset, ...]
    loose: tuple[ConvertedFile, ...]
    staging: str
    delivered: bool
    whole: bool

    def kept_at(self, name: str) -> str | None:
        """Return where one of those other files is kept."""
        return next((file.place for file in self.loose if file.name == name), None)


def text_of(value: object) -> str:
    """Return a value of JSON as a text: texts as they are, all else as JSON writes it (`true`, `null`, `[1, 2]`)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parameters(text: str | None) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("extra_params", f"`extra_params` is not valid JSON ({_shown(str(error))})") from error
    if value is None:  # JSON's null, as some programs write it
        return ()
    if not isinstance(value, dict):
        raise _malformed("extra_params", f"`extra_params` holds {_shown(text)}, not names with their values")
    return tuple((name, text_of(each)) for name, each in value.items())


def _check_parameter(name: str, value: str) -> None:
    if not name.strip() or any(category(character) == "Cc" for character in name):
        raise _malformed("extra_params", f"`extra_params` has the name {_shown(name)}, which no option can have")
    if name.lstrip("-") in RESERVED:
        raise _malformed("extra_params", f"`extra_params` gives {_shown(name)}, which is not for an order to say")
    if "\0" in value:
        raise _malformed("extra_params", f"the value of {_shown(name)} in `extra_params` has a NUL in it")


def _check_folder(path: str, *, column: str) -> None:
    _check(path, column=column)
    if not path.startswith("/") or path != posixpath.normpath(path) or path == "/" or path.startswith("//"):
        raise _malformed(column, f"`{column}` of the preprocessing is {_shown(path)}, not an absolute path of a folder")
    if any(_within(path, folder) for folder in _KERNEL_FOLDERS):
        raise _malformed(column, f"`{column}` of the preprocessing is {_shown(path)}, where a container has things of its own")


def _check(text: str, *, column: str) -> None:
    if not text.strip():
        raise _malformed(column, f"`{column}` of the preprocessing is empty")
    if any(category(character) == "Cc" for character in text):
        raise _malformed(column, f"`{column}` of the preprocessing is {_shown(text)}, which has control characters in it")


def _tidied(path: str) -> str:
    """Return a path without slashes at its end, which make no difference."""
    return path.rstrip("/") or path


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _malformed(column: str, problem: str) -> OrderMalformed:
    return OrderMalformed(column=column, problem=problem)


def _shown(text: str) -> str:
    return quoted(text, length=LONGEST_SHOWN)
