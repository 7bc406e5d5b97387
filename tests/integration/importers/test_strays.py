# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders in the managed repository that no fileset knows of, left by something that died in between."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.importers.strays import remove_strays
from tests.fixtures.importing import Importing
from tests.fixtures.omero import ServerHere

OLD = time.time() - 1000
SINCE, UNTIL = OLD - 100, OLD + 100


def home(importing: Importing) -> Path:
    session = importing.session
    return importing.repository / f"{session.user}_{session.user_id}"


def folder(parent: Path, name: str, *links: Path, changed: float = OLD) -> Path:
    """A folder as an import makes it, last changed long ago."""
    made = parent / name
    made.mkdir(parents=True)
    for number, link in enumerate(links):
        (made / f"{number}.tif").symlink_to(link)
    os.utime(made, (changed, changed))
    return made


@pytest.fixture
def day(importing: Importing, one: Path) -> Path:
    """Where the imports of today go, one of which is there."""
    importing.run(importing.plan(one))
    [link] = [path for path in home(importing).rglob("*") if path.is_symlink()]
    os.utime(link.parent, (OLD, OLD))
    return link.parent.parent


def removed(importing: Importing, *, ours: Path) -> set[str]:
    found = remove_strays(importing.session, since=SINCE, until=UNTIL, ours=lambda path: Path(path) == ours)
    return {path.name for path in found}


def test_a_folder_that_is_empty_or_has_only_links_of_the_order_goes_with_its_log(
    importing: Importing, day: Path, one: Path
) -> None:
    empty, linked = folder(day, "12-00-00.001"), folder(day, "12-00-00.002", one, one)
    nested = folder(day, "12-00-00.003")
    folder(nested, "companions", one)
    os.utime(nested, (OLD, OLD))
    log = empty.with_name(f"{empty.name}.log")
    log.write_text("begun")
    before = set(day.iterdir()) - {empty, linked, nested, log}
    assert removed(importing, ours=one) == {empty.name, linked.name, nested.name}
    assert set(day.iterdir()) == before
    assert one.is_file()


def test_what_omero_knows_is_young_or_holds_anything_else_stays(importing: Importing, day: Path, one: Path, three: Path) -> None:
    folder(day, "12-00-00.001", one, changed=time.time())
    folder(day, "12-00-00.002", one, changed=SINCE - 1)
    folder(day, "12-00-00.003", one, three)
    file = folder(day, "12-00-00.004", one)
    (file / "notes.txt").write_text("mine")
    os.utime(file, (OLD, OLD))
    before = sorted(home(importing).rglob("*"))
    assert removed(importing, ours=one) == set()
    assert sorted(home(importing).rglob("*")) == before
    assert len(importing.found()) == 1


def test_it_is_found_where_nothing_of_the_user_is_in_omero(importing: Importing, one: Path) -> None:
    stray = folder(home(importing) / "2026-11" / "28", "12-00-00.001")
    assert removed(importing, ours=one) == {stray.name}


def test_a_user_without_any_folder_has_no_strays(importing: Importing, one: Path) -> None:
    assert removed(importing, ours=one) == set()


def test_the_log_of_a_fileset_that_never_was_goes_with_its_row(
    importing_here: Importing, server_here: ServerHere, one: Path
) -> None:
    server_here.disturb.fail("import.logged", exception="Ice.CommunicatorDestroyedException")  # no further, as one that dies
    with pytest.raises(AdiError):
        importing_here.run(importing_here.plan(one))
    [log] = home(importing_here).rglob("*.log")
    os.utime(log.with_suffix(""), (OLD, OLD))
    assert removed(importing_here, ours=one) == {log.stem}
    assert list(log.parent.iterdir()) == []
    rows = "select f.id from OriginalFile f where f.name = :name"
    assert importing_here.session.query(rows, name=log.name) == []
