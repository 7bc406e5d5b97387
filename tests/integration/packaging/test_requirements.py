# SPDX-License-Identifier: GPL-2.0-or-later
"""What the packages import is what setup.cfg declares: nothing by chance, nothing from habit."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OWN = {"omero_adi_plugin", "omero_devserver"}
# Modules of Ice: omero-py brings it, and pins its release; a second opinion of ours would only get in the way.
ICE = {"Ice", "IcePy", "Glacier2"}
# They put modules into omero-py's package `omero`, which makes them look as if they were imported.
ADDING_TO_OMERO = {"omero-adi-plugin", "omero-scripts"}
# Needed without being imported by name.
UNSEEN = {
    "zombie-imp",  # gives Ice.py the module `imp` on Python 3.12 and later
    "psycopg2-binary",  # the driver that SQLAlchemy loads
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(section: str, option: str) -> set[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser[section][option].splitlines()
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines if line and not line.startswith("#")}


def imported(paths: list[Path]) -> set[str]:
    """Top-level names of all imports, also of those in functions."""
    names: set[str] = set()
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - OWN - ICE - set(sys.stdlib_module_names)


def distributions(names: set[str]) -> set[str]:
    known = packages_distributions()
    unknown = {name for name in names if name not in known}
    assert unknown == set(), "imported, but not installed"
    found = {normal(distribution) for name in names for distribution in known[name]}
    return found - ADDING_TO_OMERO


BASE = declared("options", "install_requires")
DEMO = declared("options.extras_require", "demo")
PLUGIN = [
    path
    for folder in ("omero_adi_plugin", "migrations", "omero")
    for path in (ROOT / folder).rglob("*.py")
    if "demo" not in path.relative_to(ROOT).parts
]
WITH_DEMO = [path for folder in ("omero_devserver", "omero_adi_plugin/commands/demo") for path in (ROOT / folder).rglob("*.py")]


def test_the_plugin_needs_what_it_declares_and_nothing_of_the_demo() -> None:
    assert distributions(imported(PLUGIN)) | UNSEEN == BASE


def test_the_demo_and_the_development_server_need_what_the_extra_declares() -> None:
    assert distributions(imported(WITH_DEMO)) - BASE == DEMO


@pytest.mark.parametrize("requirements", [BASE, DEMO])
def test_the_declaration_is_read_at_all(requirements: set[str]) -> None:
    assert len(requirements) >= 3
