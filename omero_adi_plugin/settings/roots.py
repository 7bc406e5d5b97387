# SPDX-License-Identifier: GPL-2.0-or-later
"""Roots: the setting that says which folders the orders of which group may import from."""

from __future__ import annotations

import os
from pathlib import Path

from omero_adi_plugin.settings.mappings import read_mapping

MUST = "must be a mapping of groups to lists of folders with absolute paths"

OTHERS = "*"
"""Stands in the setting for all groups that it does not name."""


def read_roots(value: object) -> dict[str, tuple[Path, ...]]:
    """Read the setting `group_roots`.

    Parameters
    ----------
    value : object
        A mapping, or JSON text of one, of group names to a folder or a list of them.

    Raises
    ------
    ValueError
        It is something else; the text says what must be.
    """
    return {_group(group): _folders(group, folders) for group, folders in read_mapping(value, must=MUST).items()}


def within(folder: Path, base: Path) -> bool:
    """Say whether a folder is another or lies in it, by their names alone: nothing is looked at."""
    inner, outer = os.path.abspath(folder), os.path.abspath(base)  # noqa: PTH100 (which also takes `..` away, without looking)
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _group(group: object) -> str:
    if not isinstance(group, str) or not group.strip():
        raise ValueError(f"{MUST}, and one of the groups has no name")
    return group


def _folders(group: object, folders: object) -> tuple[Path, ...]:
    if isinstance(folders, str | Path):
        folders = [folders]
    if not isinstance(folders, list | tuple) or not folders:
        raise ValueError(f"{MUST}, and the group '{group}' has no list of folders")
    if not all(isinstance(each, str | Path) and str(each).startswith("/") and "\0" not in str(each) for each in folders):
        raise ValueError(f"{MUST}, and one of those of the group '{group}' is not")
    return tuple(Path(each) for each in folders)
