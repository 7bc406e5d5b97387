# SPDX-License-Identifier: GPL-2.0-or-later
"""Mappings: settings whose value has names and values of its own: YAML in a file, JSON in the environment and after `--set`."""

from __future__ import annotations

import json
from typing import Any


def read_mapping(value: object, *, must: str) -> dict[Any, Any]:
    """Return a mapping, or the one that JSON text says.

    Parameters
    ----------
    value : object
        As it stands in a source.
    must : str
        What a value must be, for a person.

    Raises
    ------
    ValueError
        It is something else; the text says what must be.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{must}, here as JSON") from error
    if not isinstance(value, dict):
        raise ValueError(must)  # noqa: TRY004 (pydantic makes one message of ValueError alone)
    return value
