# SPDX-License-Identifier: GPL-2.0-or-later
"""Shipped: our scripts as this package has them, and where they are on a server."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from importlib.resources import files

FOLDER = "/omero/import_scripts/"
"""Where they are on a server: OMERO.web makes the menu "Import Scripts" of it, in which omero-scripts has some as well."""

RUN_ORDERS = f"{FOLDER}Run_Import_Orders.py"
"""What a service launches."""

_MARK = "omero_adi_plugin"
"""All of ours import this package; a script of that path that does not is somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One of our scripts.

    path:    on a server.
    text:    in ASCII: a server writes and reads it in the encoding of its surroundings (source: ScriptRepoHelper of OMERO).
    version: what it tells of itself; that of this package.
    """

    path: str
    text: str
    version: str | None

    @property
    def name(self) -> str:
        """Its file's name, as messages have it."""
        return self.path.removeprefix(FOLDER)


@functools.cache
def shipped() -> tuple[Shipped, ...]:
    """Return our scripts, by name."""
    folder = files("omero_adi_plugin") / "scripts" / "omero" / "import_scripts"
    texts = {each.name: each.read_text(encoding="ascii") for each in folder.iterdir() if each.name.endswith(".py")}
    return tuple(Shipped(path=FOLDER + name, text=text, version=version_of(text)) for name, text in sorted(texts.items()))


def is_ours(text: str) -> bool:
    """Tell whether a script is ours, of whatever version."""
    return _MARK in text


def version_of(text: str) -> str | None:
    """Return what a script says as its version to `omero.scripts.client`, None if that is not to be seen.

    It is read and not run (`IScript.getParams` runs it): that needs no Processor, and takes no second of one.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # whatever somebody has put there
        return None
    calls = (each for each in ast.walk(tree) if isinstance(each, ast.Call))
    words = (word for call in calls if _is_client(call.func) for word in call.keywords if word.arg == "version")
    return next((str(word.value.value) for word in words if isinstance(word.value, ast.Constant)), None)


def _is_client(function: ast.expr) -> bool:
    return getattr(function, "attr", getattr(function, "id", "")) == "client"
