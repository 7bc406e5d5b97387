# SPDX-License-Identifier: GPL-2.0-or-later
"""What lies in a container is looked up as its runtime does it: no link of an image leads out."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from omero_adi_plugin.containers.mounts import _entered


@pytest.mark.parametrize(
    ("link", "target", "asked"),
    [
        ("data", "/mnt/place", "/data"),
        ("data", "mnt/place", "//data/."),
        ("data", "../../../mnt/place", "/data"),
        ("var/run", "/mnt", "/var/run/place"),
        ("var/run", "../mnt", "/var/run/place"),
        ("data", "/etc/../mnt/place", "/data"),
    ],
)
def test_links_of_an_image_start_at_its_own_root(tmp_path: Path, link: str, target: str, asked: str) -> None:
    for name in ("mnt/place", "var", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / link).symlink_to(target)
    assert entered(tmp_path, asked) == (tmp_path / "mnt" / "place").stat().st_ino


def test_links_that_lead_to_themselves_end(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/data")
    with pytest.raises(OSError, match="symbolic links"):
        entered(tmp_path, "/data")
    with pytest.raises(FileNotFoundError):
        entered(tmp_path, "/out")


def entered(root: Path, path: str) -> int:
    handle = os.open(root, os.O_PATH)
    try:
        with ExitStack() as held:
            return os.fstat(_entered(handle, path, held)).st_ino
    finally:
        os.close(handle)
