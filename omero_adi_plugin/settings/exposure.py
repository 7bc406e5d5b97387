# SPDX-License-Identifier: GPL-2.0-or-later
"""Exposure: files with secrets that every account of this host can read.

Scripts on OMERO's Processors are programs of users, and so are the shells of people: what they can read, they have.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.settings.catalogue import FILE_SUFFIX
from omero_adi_plugin.settings.document import DocumentError, read_document
from omero_adi_plugin.settings.secret import shown_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from omero_adi_plugin.settings.catalogue import Entry


def exposed(known: Mapping[str, Entry], file: Path | None) -> list[Path]:
    """Return the settings file if it holds a secret, and files that hold nothing else, as far as everybody can read them.

    Parameters
    ----------
    known : mapping of str to Entry
        The catalogue.
    file : Path, optional
        The settings file.
    """
    secrets = {entry.name: entry for entry in known.values() if entry.secret}
    suspects: list[Path] = []
    try:
        lines = read_document(file) if file else []
    except DocumentError:
        lines = []
    if file and any(line.key in secrets and _is_secret(line.text or "") for line in lines):
        suspects.append(file)
    named = {f"{name}{FILE_SUFFIX}" for name in secrets}
    suspects += [Path(line.text.strip()) for line in lines if line.key in named and line.text and line.text.strip()]
    variables = (f"{variable}{FILE_SUFFIX.upper()}" for entry in secrets.values() for variable in entry.variables)
    suspects += [Path(os.environ[variable].strip()) for variable in variables if os.environ.get(variable, "").strip()]
    return [each for each in dict.fromkeys(suspects) if is_open(each)]


def is_open(file: Path) -> bool:
    """Tell whether every account can read a file: it itself says so, and each folder on the way to it."""
    try:
        place = file.resolve(strict=True)
        return bool(place.stat().st_mode & stat.S_IROTH) and _all_may_enter(place.parents)
    except (OSError, ValueError):  # what is not there, or not for us, is not for everybody
        return False


def _all_may_enter(folders: Iterable[Path]) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def _is_secret(value: str) -> bool:
    """Tell whether a value, of a setting that may be secret, is: a database URL without a password is none."""
    return bool(value.strip()) and ("://" not in value or shown_url(value.strip()) != value.strip())
