# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/converters.md: what it shows is so: defaults, the line that a converter writes, patterns, arguments, the example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from omero_adi_plugin.containers.arguments import arguments
from omero_adi_plugin.containers.items import parse_items
from omero_adi_plugin.containers.names import Name, Pattern
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.catalogue import catalogue

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "converters.md").read_text()


def test_each_limit_has_the_default_that_it_is_said_to_have() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+)", PAGE, re.MULTILINE)
    assert {name: float(value) for name, value in rows} == {
        name: float(str(catalogue(Settings)[name].default))
        for name in ("converter_timeout_seconds", "converter_memory_mb", "converter_cpus", "converter_pids")
    }


def test_each_setting_that_it_names_is_one() -> None:
    named = set(re.findall(r"`((?:converter|podman|max_containers|source_mount)\w*)[:`]", PAGE)) - {"podman"}
    assert named
    assert named <= set(catalogue(Settings))


def test_the_line_that_it_shows_is_read_as_it_says() -> None:
    [line] = re.findall(r"^      (\[\{\"name\".*?\}\])$", PAGE, re.MULTILINE | re.DOTALL)
    [item] = parse_items(" ".join(line.split())) or ()
    assert (item.name, item.alt_path, item.full_path) == ("cells", "/out/cells.ome.tiff", "/data/.processed/cells.ome.tiff")
    assert item.keyvalues == (("Planes", "4"), ("Made with", "NumPy"), ("Made with", "tifffile"))


def test_the_arguments_are_those_that_it_shows() -> None:
    asked = Preprocessing(id=0, container="x", parameters=(("NAME", "VALUE"),))
    assert f"    {' '.join(arguments(asked, basename='scan.lif'))}\n" in PAGE.replace("[--NAME VALUE]…", "--NAME VALUE")


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("lab/anything", True),
        ("docker.io/lab/a:2", True),
        ("other/a", False),
        ("ghcr.io/lab/convert:1.2", True),
        ("ghcr.io/lab/convert:1.3", False),
        ("ghcr.io/lab/convert:1.2@sha256:" + 64 * "0", False),
        ("ghcr.io/lab/unpack:7", True),
        ("ghcr.io/lab/unpack@sha256:" + 64 * "0", False),
    ],
)
def test_the_patterns_let_run_what_they_are_said_to(image: str, allowed: bool) -> None:  # noqa: FBT001 (a case)
    [block] = re.findall(r"^       containers:\n(?:         .*\n)+", PAGE, re.MULTILINE)
    patterns = yaml.safe_load(block)["containers"]["allow"]
    assert len(patterns) == 3
    assert any(Pattern.read(each).fitting(Name.read(image)) is not None for each in patterns) is allowed


def test_the_example_is_as_long_as_it_says() -> None:
    [said] = re.findall(r"in Python, of (\d+) lines", PAGE)
    lines = len((ROOT / "examples" / "converter" / "converter.py").read_text().splitlines())
    assert abs(lines - int(said)) <= 10
