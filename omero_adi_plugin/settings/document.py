# SPDX-License-Identifier: GPL-2.0-or-later
"""Document: a settings file as its keys and values, each with its line.

Values are taken as they are written: `0123` stays `0123`, also where YAML would make 83 of it, which no password survives. What
a value means is decided by the setting's type, as for one from the environment. The messages of the YAML parser quote the
file, and what they quote may be a password: so they are replaced by the place of the mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import yaml

from omero_adi_plugin.settings.catalogue import EXAMPLE_URL

if TYPE_CHECKING:
    from pathlib import Path

NULL = "tag:yaml.org,2002:null"
SEQUENCE, MAPPING = "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"

PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value"))
"""What YAML takes single values for by itself; anything else was asked for with a `!tag`."""

DEEPEST = 3
"""Levels of lists and mappings in each other that a value may have; an anchor may even make one that holds itself."""

Tree: TypeAlias = "str | list[Tree] | dict[str, Tree]"
"""A value that is not single, with its texts as they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One `key: value`.

    text: None if the value is no single one (a list, a mapping, something with a tag).
    tree: the value if it is a list or a mapping, of texts, lists and mappings; None if it is not, or has tags or too many levels.
    """

    number: int
    key: str
    text: str | None = field(repr=False)
    tree: Tree | None = field(repr=False, default=None)


class DocumentError(Exception):
    """The file is no settings file at all; the text says where, and quotes nothing."""


def read_document(path: Path) -> list[Line]:
    """Read a settings file.

    Parameters
    ----------
    path : Path
        In UTF-8.

    Returns
    -------
    list of Line
        In the order of the file, also those that occur twice; '' for a value that is left out.

    Raises
    ------
    DocumentError
        It cannot be read, is no YAML, or is not made of `key: value`.
    """
    root = _root(_text(path), path)
    if root is None or root.tag == NULL:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise DocumentError(
            f"The settings file '{path}' is not made of lines like `max_workers: 4`. Write one such line a setting."
        )
    return [_line(key, value) for key, value in root.value]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DocumentError(
            f"The settings file '{path}' cannot be read: {error.strerror}. Give this account read access."
        ) from None
    except UnicodeDecodeError as error:
        line = bytes(error.object[: error.start]).count(b"\n") + 1
        raise DocumentError(
            f"The settings file '{path}' cannot be read: line {line} is not in UTF-8. Save it as UTF-8."
        ) from None


def _root(text: str, path: Path) -> yaml.Node | None:
    line = None
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
    except RecursionError:
        line = None
    else:
        return root
    where = f"line {line} is no YAML" if line else "it is no YAML"
    raise DocumentError(
        f"The settings file '{path}' cannot be read: {where}. Write `key: value`, with a space after the colon, "
        f"and put a value with special characters between quotes, such as '{EXAMPLE_URL}'."
    )


def _line(key: yaml.Node, value: yaml.Node) -> Line:
    single = isinstance(value, yaml.ScalarNode) and value.tag in PLAIN_TAGS
    text = "" if value.tag == NULL else str(value.value)
    return Line(
        number=key.start_mark.line + 1,
        key=str(key.value) if isinstance(key, yaml.ScalarNode) else "",
        text=text if single else None,
        tree=None if single else _tree(value, DEEPEST),
    )


def _tree(node: yaml.Node, levels: int) -> Tree | None:
    """Return a value with its texts as they are written; None if it has tags, or a key twice, or too many levels."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag not in PLAIN_TAGS:
            return None
        return "" if node.tag == NULL else str(node.value)
    if levels == 0:
        return None
    if isinstance(node, yaml.SequenceNode) and node.tag == SEQUENCE:
        items = [_tree(item, levels - 1) for item in node.value]
        return None if None in items else [item for item in items if item is not None]
    if isinstance(node, yaml.MappingNode) and node.tag == MAPPING:
        pairs = {
            key.value: _tree(value, levels - 1)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode) and key.tag in PLAIN_TAGS
        }
        if len(pairs) == len(node.value):
            found = {key: value for key, value in pairs.items() if value is not None}
            return found if len(found) == len(pairs) else None
    return None
