# SPDX-License-Identifier: GPL-2.0-or-later
"""Validating: from what was found in the sources to settings, or to all that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from omero_adi_plugin.settings.catalogue import catalogue
from omero_adi_plugin.settings.checking import Problem
from omero_adi_plugin.settings.sources import COMMAND_LINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_settings import BaseSettings

    from omero_adi_plugin.settings.catalogue import Entry
    from omero_adi_plugin.settings.sources import Found, Given

    Model = TypeVar("Model", bound=BaseSettings)

LONGEST_SHOWN = 60
"""So many characters of a wrong value are repeated."""


def validate(model: type[Model], found: Found, *, complete: bool = True) -> tuple[Model | None, tuple[Problem, ...]]:
    """Make settings of what was found.

    Parameters
    ----------
    model : type
        The settings to make.
    found : Found
        What the sources gave.
    complete : bool
        Whether a setting without a default must be there.

    Returns
    -------
    model or None
        None if anything is wrong or missing.
    tuple of Problem
        What is wrong, all of it: with the sources first, then with the values.
    """
    known = catalogue(model)
    settings, errors = _attempt(model, {name: _tidy(known[name], given.value) for name, given in found.given.items()})
    told = {problem.setting for problem in found.problems}
    problems = list(found.problems)
    for error in errors:
        entry = known[str(error["loc"][0])]
        if error["type"] != "missing":
            problems.append(_wrong(entry, found, error))
        elif complete and found.file_is_read and entry.name not in told:
            problems.append(_missing(entry, found))
    return (None if problems else settings), tuple(problems)


def value_of(model: type[BaseSettings], name: str, given: Given | None) -> object:
    """Return the value that a setting has, alone: what was given if it makes no sense, the default if nothing was."""
    entry, field = catalogue(model)[name], model.model_fields[name]
    if given is None:
        return entry.default
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        return TypeAdapter(kind).validate_python(_tidy(entry, given.value))
    except ValidationError:
        return given.value


def _attempt(model: type[Model], values: dict[str, Any]) -> tuple[Model | None, list[Mapping[str, Any]]]:
    # The error itself goes no further: it holds the values, and what is raised while it is handled would carry it along.
    try:
        return model(**values), []
    except ValidationError as error:
        return None, [dict(each) for each in error.errors(include_input=False, include_url=False)]


def _tidy(entry: Entry, value: object) -> object:
    """Return a value without the space around it, which only a secret may have."""
    return value.strip() if isinstance(value, str) and not entry.secret else value


def _missing(entry: Entry, found: Found) -> Problem:
    where = f"'{found.file}'" if found.file else "a settings file (none was found: --config names one)"
    message = f"The setting {entry.both_names} is missing. Set it in the environment or in {where}."
    return Problem(setting=entry.name, message=message)


def _wrong(entry: Entry, found: Found, error: Mapping[str, Any]) -> Problem:
    given = found.given.get(entry.name)
    # Only our own validators raise ValueError, with words that say what must be.
    must = str(error["ctx"]["error"]) if error["type"] == "value_error" else f"must be {entry.expected}"
    value = entry.default if given is None else given.value
    shown = "" if entry.secret else f" It is {_shortened(value)}."
    where = given.where if given else "default"
    source = f"It comes from {'the ' if where == COMMAND_LINE else ''}{where}." if given else "That is the default."
    return Problem(
        setting=entry.name, where=where, message=f"The setting {entry.both_names} is wrong: it {must}.{shown} {source}"
    )


def _shortened(value: object) -> str:
    text = str(value)
    short = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    return repr(short) if isinstance(value, str) else short
