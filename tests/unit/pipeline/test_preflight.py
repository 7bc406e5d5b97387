# SPDX-License-Identifier: GPL-2.0-or-later
"""No entry leads out of the folder that files may come from."""

import os
from pathlib import Path

import pytest

from omero_adi_plugin.errors import FileMissing, PathOutsideRoots
from omero_adi_plugin.orders import Entry
from omero_adi_plugin.pipeline.preflight import check_entry


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "data"
    base.mkdir()
    (base / "good.tif").write_bytes(b"x")
    (tmp_path / "data-of-others").mkdir()
    (tmp_path / "data-of-others" / "secret.tif").write_bytes(b"x")
    (base / "link.tif").symlink_to(tmp_path / "data-of-others" / "secret.tif")
    (base / "folder").symlink_to(tmp_path / "data-of-others")
    (base / "loop.tif").symlink_to(base / "loop.tif")
    return base


def test_a_file_inside_is_fine_also_through_a_link_to_the_folder_itself(base: Path) -> None:
    check_entry(Entry(path=str(base / "good.tif")), base_dir=base)
    alias = base.parent / "alias"
    alias.symlink_to(base)
    check_entry(Entry(path=str(alias / "good.tif")), base_dir=base)
    check_entry(Entry(path=str(base / "good.tif")), base_dir=alias)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{base}/../data-of-others/secret.tif",
        "{base}-of-others/secret.tif",
        "{base}/link.tif",
        "{base}/folder/secret.tif",
        "{base}/folder/none",
    ],
)
def test_whatever_leads_out_is_refused(base: Path, path: str) -> None:
    with pytest.raises(PathOutsideRoots, match="lies outside"):
        check_entry(Entry(path=path.format(base=base)), base_dir=base)


@pytest.mark.parametrize("name", ["none.tif", "good.tif/below", "loop.tif", "x" * 300])
def test_what_is_not_there_is_said_to_be_missing(base: Path, name: str) -> None:
    with pytest.raises(FileMissing):
        check_entry(Entry(path=os.path.join(base, name)), base_dir=base)  # noqa: PTH118 (the path as a producer writes it)
