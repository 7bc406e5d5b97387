# SPDX-License-Identifier: GPL-2.0-or-later
"""Config: the subcommands that show the settings and look for mistakes in them. They meet neither the database nor OMERO."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.using import config_of, given_of
from omero_adi_plugin.errors import CheckFailed, ConfigurationError, UsageError
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.catalogue import catalogue
from omero_adi_plugin.settings.secret import HIDDEN, shown_url
from omero_adi_plugin.settings.sources import places, search, search_file
from omero_adi_plugin.settings.validating import validate, value_of

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.settings.catalogue import Entry
    from omero_adi_plugin.settings.checking import Problem
    from omero_adi_plugin.settings.sources import Found, Given

NOT_SET = "not set"
DEFAULT = "default"

LEAST_FOR_DESCRIPTIONS = 40
"""Characters that the descriptions need in a line to be readable beside the other columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting as it is shown; value and default are what JSON has a form for, None if there is none."""

    entry: Entry
    value: object
    default: object
    source: str

    def as_json(self) -> dict[str, Any]:
        """Return it as programs get it."""
        return {
            "name": self.entry.name,
            "value": self.value,
            "default": self.default,
            "source": self.source,
            "environment": list(self.entry.variables),
            "description": self.entry.description,
            "effect": self.entry.effect,
        }


def run(args: Namespace) -> None:
    """Do `config show` or `config check`."""
    {"show": _show, "check": _check}[args.adi_action](args)


def _show(args: Namespace) -> None:
    found = search(catalogue(Settings), config_of(args), given_of(args))
    _, problems = validate(Settings, found)
    rows = [_row(entry, found.given.get(entry.name)) for entry in catalogue(Settings).values()]
    if args.as_json:
        printing.as_json(
            {
                "file": _file(found),
                "settings": [row.as_json() for row in rows],
                "legacy": [{"key": legacy.key, "where": legacy.where} for legacy in found.legacy],
                "problems": [_as_json(problem) for problem in problems],
            }
        )
    else:
        printing.line(_file_line(found))
        _print_rows(rows)
        _print_findings(problems, _legacy_notes(found))
    if problems:
        raise CheckFailed(findings=len(problems))


def _check(args: Namespace) -> None:
    known = catalogue(Settings)
    if args.file is None:
        found = search(known, config_of(args), given_of(args))
    elif args.config or args.given:
        raise UsageError("FILE is checked alone: leave --config and --set out, or leave FILE out.")
    elif not Path(args.file).is_file():
        raise ConfigurationError(f"The settings file '{args.file}' does not exist. Correct the path.")
    else:
        found = search_file(known, Path(args.file))
    alone = args.file is not None
    _, problems = validate(Settings, found, complete=not alone)
    notes = [*_legacy_notes(found), *_effect_notes(found), *(_left_to_the_environment(found, problems) if alone else [])]
    if args.as_json:
        printing.as_json({"file": _file(found), "problems": [_as_json(problem) for problem in problems], "notes": notes})
    else:
        printing.line(_file_line(found))
        _print_findings(problems, notes)
    if problems:
        raise CheckFailed(findings=len(problems))
    if not args.as_json:
        printing.line("no mistakes found")


def _print_rows(rows: list[Row]) -> None:
    """Print a table; on a terminal that is too narrow for it, a paragraph a setting: a cut path or description helps nobody."""
    heads = ("setting", "value", "source", "default", "description")
    cells = [(row.entry.name, _text(row.value), row.source, _text(row.default), row.entry.description) for row in rows]
    width = shutil.get_terminal_size().columns
    needed = sum(2 + max(map(len, column)) for column in list(zip(heads, *cells, strict=True))[:-1]) + LEAST_FOR_DESCRIPTIONS
    if width >= needed or not sys.stdout.isatty():
        printing.table(heads, cells)
        return
    for name, value, source, default, description in cells:
        printing.line(f"{name} = {value}" + (f"  ({source}; default: {default})" if source != DEFAULT else "  (default)"))
        for part in textwrap.wrap(description, max(width - 4, LEAST_FOR_DESCRIPTIONS)):
            printing.line(f"    {part}")


def _row(entry: Entry, given: Given | None) -> Row:
    return Row(
        entry=entry,
        value=_shown(entry, value_of(Settings, entry.name, given)),
        default=_shown(entry, entry.default),
        source=given.where if given else DEFAULT,
    )


def _shown(entry: Entry, value: object) -> object:
    """Return a value in a form that JSON has, and that shows no secret."""
    if entry.secret:
        secret = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
        if not secret:
            return None
        return shown_url(secret) if entry.name == "ingest_tracking_db" else HIDDEN
    if isinstance(value, dict):
        return json.loads(json.dumps(value, default=str))
    return str(value) if isinstance(value, Path) else value


def _text(value: object) -> str:
    """Return a value as it would stand in the settings file."""
    if value is None:
        return NOT_SET
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _file_line(found: Found) -> str:
    if found.file or not found.file_is_read:
        return f"file: {_file(found) or 'none'}"
    server = "" if os.environ.get("OMERODIR") else " (and below OMERODIR, which is not set)"
    return f"file: none; looked for {' and '.join(str(place.absolute()) for place in places())}{server}"


def _file(found: Found) -> str | None:
    return str(found.file.absolute()) if found.file else None


def _print_findings(problems: tuple[Problem, ...], notes: list[str]) -> None:
    for problem in problems:
        printing.line(f"problem: {problem.message}")
    for note in notes:
        printing.line(f"note: {note}")


def _as_json(problem: Problem) -> dict[str, str | None]:
    return {"setting": problem.setting, "where": problem.where or None, "message": problem.message}


def _legacy_notes(found: Found) -> list[str]:
    return [
        f"{legacy.where}: `{legacy.key}` is a setting of the former importer that means nothing here; it can be removed."
        for legacy in found.legacy
    ]


def _effect_notes(found: Found) -> list[str]:
    known = catalogue(Settings)
    return [f"{given.where}: `{name}` has no effect yet." for name, given in found.given.items() if not known[name].effect]


def _left_to_the_environment(found: Found, problems: tuple[Problem, ...]) -> list[str]:
    if not found.file_is_read:
        return []
    there = {*found.given, *(problem.setting for problem in problems)}
    return [
        f"`{entry.name}` is not in the file, so the environment must give it, as {entry.variables[0]}."
        for entry in catalogue(Settings).values()
        if entry.required and entry.name not in there
    ]
