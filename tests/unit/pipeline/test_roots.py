# SPDX-License-Identifier: GPL-2.0-or-later
"""No path leads out of the folders that files of a group may come from, and OMERO's link keeps to where we looked."""

import logging
import os
from pathlib import Path

import pytest

from omero_adi_plugin.errors import ConfigurationError, FileMissing, PathOutsideRoots, StorageDown
from omero_adi_plugin.pipeline.roots import Roots
from tests.fixtures.gates import gate_of


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "data"
    for folder in ("lab", "other", "shared"):
        (base / folder).mkdir(parents=True)
        (base / folder / "good.dat").write_bytes(b"x")
    outside = tmp_path / "data-of-others"
    outside.mkdir()
    (outside / "secret.dat").write_bytes(b"x")
    (base / "link.dat").symlink_to(outside / "secret.dat")
    (base / "folder").symlink_to(outside)
    (base / "loop.dat").symlink_to(base / "loop.dat")
    (outside / "back").symlink_to(base / "lab")
    return base


def test_a_file_inside_is_fine_also_through_links_that_end_inside(base: Path) -> None:
    gate = gate_of(base)
    assert gate.admit(f"{base}/lab/good.dat").source == f"{base}/lab/good.dat"
    assert gate.admit(f"{base}/other/../lab/./good.dat").source == f"{base}/lab/good.dat"
    assert gate.admit(f"{base}/folder/back/good.dat").source == f"{base}/lab/good.dat"
    gate.admit_folder(f"{base}/lab")
    gate.admit_folder(f"{base}/folder/back/")
    gate.admit_folder(str(base))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/",
        "{base}/..",
        "{base}/../data-of-others/secret.dat",
        "{base}-of-others/secret.dat",
        "{base}/link.dat",
        "{base}/folder/secret.dat",
        "{base}/folder/none",
        "{base}/folder/secret.dat/below",
        "/dev/null",
    ],
)
def test_whatever_leads_out_is_refused_alike_and_is_a_security_event(
    base: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = path.format(base=base)
    gate = gate_of(base)
    for ask in (gate.admit, gate.admit_folder, gate.locate):
        caplog.clear()
        with pytest.raises(PathOutsideRoots) as refused:
            ask(path)
        assert str(refused.value) == (
            f"'{path}' lies outside '{base}', where files to import must lie. Move it there and order again."
        )
        [record] = caplog.records
        assert (record.getMessage(), record.levelno) == ("security.path_outside_roots", logging.WARNING)
        facts = vars(record)["facts"]
        assert facts == {"group": "lab", "order": "4f1c09aa", "path": path, "leads_to": os.path.realpath(path)}


@pytest.mark.parametrize("name", ["none.dat", "lab/good.dat/below", "lab/good.dat/", "lab/good.dat/.", "loop.dat", "none/none"])
def test_what_is_not_there_is_said_to_be_missing(base: Path, name: str) -> None:
    with pytest.raises(FileMissing):
        gate_of(base).admit(f"{base}/{name}")


def test_a_group_keeps_to_its_own_roots(base: Path) -> None:
    roots = {"lab": [str(base / "lab"), str(base / "shared")], "*": [str(base / "shared")]}
    lab, other = gate_of(base, group_roots=roots), gate_of(base, group="other", group_roots=roots)
    lab.admit(f"{base}/lab/good.dat")
    for gate in (lab, other):
        gate.admit(f"{base}/shared/good.dat")
    with pytest.raises(PathOutsideRoots, match=f"outside '{base}/lab' or '{base}/shared', where"):
        lab.admit(f"{base}/other/good.dat")
    with pytest.raises(PathOutsideRoots, match=f"outside '{base}/shared', where"):
        other.admit(f"{base}/lab/good.dat")
    with pytest.raises(PathOutsideRoots):
        other.admit_folder(str(base))
    unnamed = gate_of(base, group="other", group_roots={"lab": [str(base / "lab")]})
    unnamed.admit(f"{base}/other/good.dat")


def test_a_root_that_is_a_link_out_of_the_base_is_the_administrators_mistake(base: Path) -> None:
    with pytest.raises(ConfigurationError, match="leads out of `base_dir`"):
        gate_of(base, group_roots={"lab": [str(base / "folder")]})
    gate_of(base, group="other", group_roots={"lab": [str(base / "folder")]}).admit(f"{base}/other/good.dat")


def test_the_link_of_omero_goes_through_the_administrators_link_and_no_other(base: Path) -> None:
    alias = base.parent / "alias"
    alias.symlink_to(base)
    (base / "inner").symlink_to(base / "lab")
    assert gate_of(alias).admit(f"{alias}/inner/good.dat").source == f"{alias}/lab/good.dat"
    assert gate_of(alias).admit(f"{base}/inner/good.dat").source == f"{alias}/lab/good.dat"
    assert gate_of(base).admit(f"{alias}/inner/good.dat").source == f"{base}/lab/good.dat"
    assert gate_of(alias).locate(f"{alias}/inner/none.csv") == f"{base}/lab/none.csv"


def test_a_folder_that_becomes_a_link_after_it_was_resolved_leads_nowhere(base: Path) -> None:
    gate = gate_of(base)
    (base / "lab" / "secret.dat").write_bytes(b"mine")
    gate.admit(f"{base}/lab/secret.dat")
    (base / "lab").rename(base / "away")
    (base / "lab").symlink_to(base.parent / "data-of-others")
    for ask, path in ((gate.admit, f"{base}/lab/secret.dat"), (gate.admit_folder, f"{base}/lab/.")):
        with pytest.raises(PathOutsideRoots):
            ask(path)


def test_a_folder_is_known_by_any_name(base: Path) -> None:
    (base.parent / "DATA").symlink_to(base)  # stands for a file system that does not tell capitals from small letters
    roots = Roots(base_dir=base, folders=[base / "lab"])
    for name in ("lab/good.dat", "lab", "lab/none/none"):
        assert roots.hold_by_any_name(f"{base.parent}/DATA/{name}")
        assert not roots.hold(f"{base.parent}/DATA/{name}")
    for place in (f"{base.parent}/DATA/other/good.dat", str(base), "/", "/none"):
        assert not roots.hold_by_any_name(place)


def test_the_root_of_the_file_system_can_be_the_base(base: Path) -> None:
    assert gate_of(Path("/")).admit(f"{base}/lab/good.dat").source == f"{base}/lab/good.dat"


def test_a_base_that_is_not_there_or_empty_fails_no_order(base: Path) -> None:
    with pytest.raises(StorageDown, match="is not there"):
        gate_of(base / "none")
    (base / "empty").mkdir()
    gate = gate_of(base / "empty")
    with pytest.raises(StorageDown, match="is empty"):
        gate.admit(f"{base}/empty/lab/good.dat")
    with pytest.raises(StorageDown, match="is empty"):
        gate.admit_folder(f"{base}/empty/lab")
