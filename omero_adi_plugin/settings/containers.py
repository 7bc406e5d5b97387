# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers: the settings that list images, and words."""

from __future__ import annotations

from omero_adi_plugin.settings.mappings import read_mapping

MUST = "must be a mapping with the one key `allow`, a list of names of images"

ALLOW = "allow"


def read_containers(value: object) -> dict[str, tuple[str, ...]]:
    """Read the setting `containers`.

    Parameters
    ----------
    value : object
        A mapping, or JSON text of one, of `allow` to a pattern or a list of them.

    Raises
    ------
    ValueError
        It is something else; the text says what must be.
    """
    found = read_mapping(value, must=MUST)
    if set(found) - {ALLOW}:
        raise ValueError(MUST)
    return {ALLOW: _texts(found.get(ALLOW, ()), MUST)}


def read_words(value: object) -> tuple[str, ...]:
    """Read a setting that is a list of words, or text with the words parted by blanks or commas.

    Raises
    ------
    ValueError
        It is something else.
    """
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return _texts(value, "must be a list of words")


def _texts(value: object, must: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each.strip() for each in value):
        raise ValueError(must)
    return tuple(each.strip() for each in value)
