# SPDX-License-Identifier: GPL-2.0-or-later
"""SQL: statements with a name, kept in a file of their own so that a person who knows databases can read them in one place.

A statement is a block of lines. It begins with `-- its name`, then comment lines say what it is for; a blank line ends it.
`{+name}` stands for the text of an earlier statement of the same file.
"""

from __future__ import annotations

import re
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import TextClause, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"-- ([a-z][a-z_]*)")


def statements(file_name: str) -> Mapping[str, TextClause]:
    """Read the statements of a file of this package.

    Parameters
    ----------
    file_name : str
        For example ``queue.sql``.

    Returns
    -------
    mapping of str to TextClause
        By name; values are bound where the text has ``:name``.

    Raises
    ------
    ValueError
        A block does not begin with a name, or two have the same: the package is broken.
    """
    return parsed(files(__package__).joinpath(file_name).read_text(encoding="utf-8"), file_name=file_name)


def parsed(content: str, *, file_name: str) -> Mapping[str, TextClause]:
    """Return the statements of a file's content; see `statements`."""
    found: dict[str, TextClause] = {}
    for block in re.split(r"\n\s*\n", content.strip()):
        first, _, rest = block.partition("\n")
        name = _NAME.fullmatch(first)
        if name is None or name[1] in found:
            raise ValueError(f"{file_name}: a block begins with {first!r}, which is no name of a new statement")
        whole = "\n".join(line for line in rest.split("\n") if not line.startswith("--"))
        for earlier, part in found.items():
            whole = whole.replace(f"{{+{earlier}}}", part.text)
        found[name[1]] = text(whole)
    return MappingProxyType(found)
