# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources: where the value of a setting comes from.

Command line over environment over file. The file is the first of: `--config FILE`, `ADI_CONFIG`, `config/settings.yml` below
the working directory, `$OMERODIR/etc/omero-adi.yml`. An empty value counts as not given, in the file and in the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.settings.catalogue import FILE_SUFFIX
from omero_adi_plugin.settings.checking import LEGACY_KEYS, Problem, file_keys, misspelt_variables, unknown_key
from omero_adi_plugin.settings.document import DocumentError, read_document
from omero_adi_plugin.settings.secret import SecretFileError, read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omero_adi_plugin.settings.catalogue import Entry

COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and where it was given: `command line`, a variable, or `file:line`.

    It is text, but for a mapping that stands in the file as one, and for what a program gave.
    """

    value: object = field(repr=False)
    where: str


@dataclass(frozen=True, slots=True)
class Legacy:
    """A key of the former importer in the file, and where it stands."""

    key: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found in the sources.

    Parameters
    ----------
    file : Path, optional
        The settings file.
    file_is_read : bool
        False if its content is not known, so that a setting may be in it that was not found.
    given : mapping of str to Given
        The values that count, by setting.
    legacy : tuple of Legacy
        In the order of the file.
    problems : tuple of Problem
        What was wrong on the way.
    """

    file: Path | None
    file_is_read: bool
    given: Mapping[str, Given]
    legacy: tuple[Legacy, ...]
    problems: tuple[Problem, ...]


def places() -> list[Path]:
    """Return where the settings file is looked for when none is named, in this order."""
    server = os.environ.get("OMERODIR")
    return [Path("config/settings.yml"), *([Path(server) / "etc" / "omero-adi.yml"] if server else [])]


def find_file(config: Path | None) -> Path | None:
    """Return the settings file to use, None if there is none.

    Raises
    ------
    ConfigurationError
        A file was named, on the command line or by `ADI_CONFIG`, that does not exist.
    """
    variable = os.environ.get("ADI_CONFIG")
    named = config or (Path(variable) if variable else None)
    if named is not None and not named.is_file():
        raise ConfigurationError(f"The settings file '{named}' does not exist. Correct --config or ADI_CONFIG.")
    return named or next((place for place in places() if place.is_file()), None)


def search(known: Mapping[str, Entry], config: Path | None, command_line: Mapping[str, object]) -> Found:
    """Look for values in all sources.

    Parameters
    ----------
    known : mapping of str to Entry
        The catalogue.
    config : Path, optional
        The file that was named on the command line.
    command_line : mapping of str to object
        Values from there, by setting.
    """
    looking = _Search(known)
    file = None
    try:
        file = find_file(config)
    except ConfigurationError as error:
        looking.file_is_read = False
        looking.problems.append(Problem(message=str(error)))
    written = looking.file(file) if file else {}
    return looking.found(file, written, looking.environment(), looking.command_line(command_line))


def search_file(known: Mapping[str, Entry], file: Path) -> Found:
    """Look for values in one file, whatever the environment says."""
    looking = _Search(known)
    return looking.found(file, looking.file(file))


class _Search:
    """One search. It keeps whatever is wrong on its way, so that all of that can be told at once."""

    def __init__(self, known: Mapping[str, Entry]) -> None:
        self._known = known
        self._keys = {*known, *file_keys(known)}
        self._legacy: list[Legacy] = []
        self.problems: list[Problem] = []
        self.file_is_read = True

    def found(self, file: Path | None, *layers: Mapping[str, Given]) -> Found:
        """Put the layers over each other, the weakest first: of each setting only the strongest one is looked at."""
        strongest: dict[str, Mapping[str, Given]] = {}
        for layer in layers:
            strongest |= {name: layer for name in self._known if {name, f"{name}{FILE_SUFFIX}"} & layer.keys()}
        chosen = {name: self._chosen(name, layer) for name, layer in strongest.items()}
        given = {name: value for name, value in chosen.items() if value}
        return Found(
            file=file,
            file_is_read=self.file_is_read,
            given=given,
            legacy=tuple(self._legacy),
            problems=tuple(self.problems),
        )

    def file(self, file: Path) -> dict[str, Given]:
        """Return what the file gives, by key."""
        try:
            lines = read_document(file)
        except DocumentError as error:
            self.file_is_read = False
            self.problems.append(Problem(where=str(file), message=str(error)))
            return {}
        first: dict[str, str] = {}
        given = {}
        for line in lines:
            where = f"{file}:{line.number}"
            if line.key not in self._keys | LEGACY_KEYS:
                self.problems.append(unknown_key(line.key, where, self._known))
            elif line.key in first:
                twice = f"{where}: `{line.key}` is given a second time, first at {first[line.key]}. Remove one of the two."
                self.problems.append(Problem(setting=line.key, where=where, message=twice))
            elif line.key in LEGACY_KEYS:
                self._legacy.append(Legacy(line.key, where))
            elif line.text is None and line.tree is not None and line.key in self._known and self._known[line.key].mapping:
                given[line.key] = Given(line.tree, where)
            elif line.text is None:
                several = f"{where}: `{line.key}` must be one single value, not a list, a mapping or something with a !tag."
                self.problems.append(Problem(setting=line.key, where=where, message=several))
            elif line.text.strip():
                given[line.key] = Given(line.text, where)
            first.setdefault(line.key, where)
        return given

    def environment(self) -> dict[str, Given]:
        """Return what the environment gives, by key: of several names of a setting the strongest counts."""
        self.problems.extend(misspelt_variables(os.environ, self._known))
        given: dict[str, Given] = {}
        for entry in self._known.values():
            for variable in entry.variables:
                names = {entry.name: variable}
                if entry.secret:
                    names[f"{entry.name}{FILE_SUFFIX}"] = f"{variable}{FILE_SUFFIX.upper()}"
                here = {key: Given(os.environ[name], name) for key, name in names.items() if os.environ.get(name, "").strip()}
                if here:
                    given |= here
                    break
        return given

    def command_line(self, values: Mapping[str, object]) -> dict[str, Given]:
        """Return what the command line gives, by key."""
        self.problems.extend(unknown_key(key, COMMAND_LINE, self._known) for key in values if key not in self._keys)
        return {key: Given(value, COMMAND_LINE) for key, value in values.items()}

    def _chosen(self, name: str, layer: Mapping[str, Given]) -> Given | None:
        """Return the value of a setting in one layer, where it stands itself or in a file of its own; None if that went wrong."""
        key = f"{name}{FILE_SUFFIX}"
        itself, named = layer.get(name), layer.get(key) if self._known[name].secret else None
        if named is None:
            return itself
        if itself is not None:
            both = f"`{name}` and `{key}` are both given, by {itself.where} and by {named.where}. Keep one of the two."
            self.problems.append(Problem(setting=name, where=named.where, message=both))
            return None
        try:
            return Given(read_secret(str(named.value)), named.where)
        except SecretFileError as error:
            # The path is not repeated: somebody may have written the secret there.
            why = (
                f"`{name}` cannot be read from the file that {named.where} names (`{key}`): {error}. "
                f"Correct the path or the file, or give `{name}` itself instead."
            )
            self.problems.append(Problem(setting=name, where=named.where, message=why))
            return None
