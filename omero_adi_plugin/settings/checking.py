# SPDX-License-Identifier: GPL-2.0-or-later
"""Checking: keys and variables that are no settings. A misspelt one would be ignored in silence, and be missed at night."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.settings.catalogue import FILE_SUFFIX, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from omero_adi_plugin.settings.catalogue import Entry

LEGACY_KEYS = frozenset(
    {
        "completed_orders_dir_name",
        "data_dir_name",
        "failed_uploads_directory_name",
        "group_list",
        "sample_pre_container",
        "sample_pre_input",
        "sample_pre_out",
        "sample_pre_outalt",
        "sample_pre_save",
        "ttl_for_user_conn",
        "upload_order_attributes",
        "upload_orders_dir_name",
    },
)
"""Keys of the settings files that the former importer was published with. They mean nothing here."""

OTHER_VARIABLES = frozenset({"ADI_CONFIG", "ADI_CRASH_POINT"})
"""Variables with our prefix that are no settings, but ours all the same."""

VERY_NEAR = 0.85
"""How like one of ours (a ratio of difflib) a variable must be to be a mistake: others with this prefix are somebody else's."""

_LOOKS_LIKE_A_NAME = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    setting : str, optional
        Whose value it is about.
    where : str
        The place to correct: `command line`, a variable, `file:line`, or ''.
    message : str
        A full sentence or two, with the place, for a person. Holds no secret.
    """

    setting: str | None = None
    where: str = ""
    message: str


def file_keys(known: Mapping[str, Entry]) -> dict[str, str]:
    """Return the keys that name a file with a secret, with the setting that each stands for."""
    return {f"{name}{FILE_SUFFIX}": name for name, entry in known.items() if entry.secret}


def unknown_key(key: str, where: str, known: Mapping[str, Entry]) -> Problem:
    """Return what to say of a key that is no setting: the nearest right one. A key that is no name is not repeated."""
    if not _LOOKS_LIKE_A_NAME.fullmatch(key):
        return Problem(where=where, message=f"{where}: there is a key that is no name of a setting. Write `key: value`.")
    names = {name: name for name in (*known, *file_keys(known))}
    names |= {variable.lower(): name for name, entry in known.items() for variable in entry.variables}
    near = nearest(key.lower().replace("-", "_"), names)
    remedy = f"Did you mean `{names[near]}`?" if near else "`omero adi config show` lists all settings."
    return Problem(where=where, message=f"{where}: there is no setting `{key}`. {remedy}")


def nearest(word: str, words: Iterable[str], *, at_least: float = 0.6) -> str | None:
    """Return the word that is most like another, None if none is."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1, cutoff=at_least)), None)


def misspelt_variables(environment: Iterable[str], known: Mapping[str, Entry]) -> list[Problem]:
    """Return a problem for each variable with our prefix that is none of ours, but very near to one."""
    ours = {*OTHER_VARIABLES, *(variable for entry in known.values() for variable in entry.variables)}
    ours |= {f"{variable}{FILE_SUFFIX.upper()}" for entry in known.values() if entry.secret for variable in entry.variables}
    found = []
    for variable in sorted(name for name in environment if name.startswith(PREFIX) and name not in ours):
        near = nearest(variable, ours, at_least=VERY_NEAR)
        if near:
            message = f"The variable {variable} of the environment is no setting. Did you mean {near}? Rename it, or unset it."
            found.append(Problem(where=variable, message=message))
    return found
