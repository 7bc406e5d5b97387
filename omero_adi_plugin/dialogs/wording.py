# SPDX-License-Identifier: GPL-2.0-or-later
"""Wording: what people in OMERO.web are told, who have no command line and administer nothing."""

from __future__ import annotations

import re

from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    ConnectionBroken,
    DatabaseDown,
    DiskFull,
    NotPermitted,
    OmeroDown,
    OmeroReadOnly,
    ServerTrouble,
    StorageDown,
    quoted,
)

NOT_SET_UP = (
    "The import service is not set up where OMERO has run this script. Tell your administrator: on that host the settings belong "
    "into $OMERODIR/etc/omero-adi.yml, and `omero adi check` says what is wrong."
)

AGAIN = "Try again later; if that does not help, tell your administrator."

NOT_AGAIN = 'What was done before that stands: look with "Import Status" later, and do not do it again.'

BUG = (
    "This did not work, by a fault of the program and not of yours. Tell your administrator: the script's error output says more."
)

_NAMES = (
    (re.compile(r"`omero adi orders retry[^`]*--again`"), '"Retry Or Cancel Import" with "Import Again"'),
    (re.compile(r"With --again"), 'With "Import Again"'),
    (re.compile(r"`omero adi orders (?:retry|cancel)[^`]*`"), '"Retry Or Cancel Import"'),
    (re.compile(r"`omero adi orders[^`]*`"), '"Import Status"'),
    (re.compile(r": start one with `omero adi serve`"), ": tell your administrator"),
    (re.compile(r" `omero adi resume` lets them go on\."), " They go on when an administrator says so."),
)
"""Commands, and what does the same in OMERO.web."""


def for_people(text: str) -> str:
    """Return a sentence with what is in OMERO.web's menu in the place of commands that do the same."""
    for command, name in _NAMES:
        text = command.sub(name, text)
    return text


def words_of(error: AdiError, *, something_stands: bool = False) -> str:
    """Return what to tell people of an error: the sentence, unless only an administrator could do something with it.

    No host, no address and no account is named; those are in the application log of the host.

    Parameters
    ----------
    error : AdiError
        What went wrong.
    something_stands : bool
        Whether something was done before that: whoever is told to try again would do it twice.
    """
    match error:
        case ConfigurationError() | NotPermitted():
            return NOT_SET_UP
        case StorageDown():
            return f"The folder {quoted(error.folder)}, in which files to import lie, {error.why}. Tell your administrator."
        case DiskFull():
            return "A disk that the import service needs is full. Tell your administrator."
        case DatabaseDown() | OmeroDown() | ConnectionBroken() | ServerTrouble():
            return f"{_cause(error)} {NOT_AGAIN if something_stands else AGAIN}"
    return for_people(str(error))


def _cause(error: DatabaseDown | OmeroDown | ConnectionBroken | ServerTrouble) -> str:
    match error:
        case DatabaseDown():
            return "The database of the import service does not answer."
        case ServerTrouble():
            return f"OMERO reported an error while {error.doing}: {error.words}."
        case OmeroReadOnly():
            return "OMERO is read-only at the moment."
    return "The connection to OMERO was lost."


def counted(amount: int, thing: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f"{amount} {thing}{'' if amount == 1 else 's'}"


def shortened(text: str, *, length: int) -> str:
    """Return the beginning of a text, of this many characters at most, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
