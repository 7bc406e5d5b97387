# SPDX-License-Identifier: GPL-2.0-or-later
"""Our scripts as the package has them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from omero_adi_plugin._version import __version__
from omero_adi_plugin.grid.shipped import FOLDER, RUN_ORDERS, Shipped, is_ours, shipped, version_of

SCRIPTS = Path(__file__).parents[3] / "scripts"


def test_all_scripts_of_the_folder_are_shipped() -> None:
    files = {f"/{file.relative_to(SCRIPTS)}" for file in SCRIPTS.rglob("*.py")}
    assert {each.path for each in shipped()} == files
    assert RUN_ORDERS in files
    assert all(path.startswith(FOLDER) for path in files)


@pytest.mark.parametrize("script", shipped(), ids=lambda script: script.name)
def test_a_script_is_of_the_version_of_the_package_and_known_as_ours(script: Shipped) -> None:
    assert script.version == __version__
    assert is_ours(script.text)
    # "differs" would stay for ever on a server whose surroundings say another encoding
    assert script.text.isascii()


@pytest.mark.parametrize("script", shipped(), ids=lambda script: script.name)
def test_a_script_loads_our_package_late(script: Shipped) -> None:
    """Its parameters are asked for on every Processor, also on those that do not have the package."""
    tops = [each for each in ast.parse(script.text).body if isinstance(each, ast.Import | ast.ImportFrom)]
    assert tops
    assert not [each for each in tops if "omero_adi_plugin" in ast.unparse(each)]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('client = scripts.client("A.py", """a""", version="1.2")', "1.2"),
        ('def run():\n    c = client("A.py", scripts.Long("N", version="9"), version="2")', "2"),
        ('scripts.client("A.py", version=VERSION)', None),
        ('scripts.client("A.py")', None),
        ("version = '3'", None),
        ("x =", None),
        ("\0", None),
        ("(" * 5000, None),
        ("", None),
    ],
)
def test_the_version_of_any_text_is_read_or_unknown(text: str, version: str | None) -> None:
    assert version_of(text) == version
