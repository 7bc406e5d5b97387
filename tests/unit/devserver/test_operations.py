# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of what is there tells the truth: it is made from the code, and it leaves no interface out."""

from __future__ import annotations

import ast
from pathlib import Path

import omero_devserver
from omero_devserver.entry.catalogue import STATEFUL, STATELESS
from omero_devserver.entry.operations import OTHERS, described

PACKAGE = Path(omero_devserver.__file__).parent


def test_the_file_says_what_the_code_has() -> None:
    told = (PACKAGE / "operations.md").read_text(encoding="utf-8")
    assert told == described(), "run: python -m omero_devserver --operations > omero_devserver/operations.md"


def test_every_interface_that_clients_can_get_is_in_it() -> None:
    given = {name for path in PACKAGE.rglob("*.py") for name in interfaces_given_out(path)}
    assert {"omero.cmd.Handle", "omero.grid.ManagedRepository"} <= given  # the search finds something
    assert given <= {*STATELESS, *(f"omero.api.{kind}" for kind in STATEFUL), *OTHERS}


def interfaces_given_out(path: Path) -> list[str]:
    """The interfaces of which servants are made in a module, as `omero.cmd.Handle`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("make", "stateful", "service"):
            found += [text for argument in node.args if (text := ast.unparse(argument)).startswith("omero.")]
    return found
