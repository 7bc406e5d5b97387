# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders in the managed repository that no fileset knows of, left by something that died in between."""

from __future__ import annotations

import os
import time
from pathlib import Path

import omero.all
import pytest
from omero.rtypes import rstring

from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.importers.handles import finished
from omero_adi_plugin.importers.strays import remove_strays
from omero_adi_plugin.sessions import Logins
from tests.fixtures.importing import Importing
from tests.fixtures.laboratory import make_group, make_user
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


def links(importing: Importing) -> set[Path]:
    return {path for path in home(importing).rglob("*") if path.is_symlink()}


def aged(importing: Importing) -> set[Path]:
    """Have all folders look as if they were last changed long ago; the links that are there."""
    for path in home(importing).rglob("*"):
        if path.is_dir() and not path.is_symlink():
            os.utime(path, (OLD, OLD))
    return links(importing)


@pytest.fixture
def day(importing: Importing, one: Path) -> Path:
    """Where the imports of today go, one of which is there."""
    importing.run(importing.plan(one))
    [link] = [path for path in home(importing).rglob("*") if path.is_symlink()]
    os.utime(link.parent, (OLD, OLD))
    return link.parent.parent


def removed(importing: Importing, logins: Logins, *, ours: Path) -> set[str]:
    service = logins.service()
    found = remove_strays(importing.session, service=service, since=SINCE, until=UNTIL, ours=lambda path: Path(path) == ours)
    return {path.name for path in found}


def test_a_folder_that_is_empty_or_has_only_links_of_the_order_goes_with_its_log(
    importing: Importing, logins: Logins, day: Path, one: Path
) -> None:
    empty, linked = folder(day, "12-00-00.001"), folder(day, "12-00-00.002", one, one)
    nested = folder(day, "12-00-00.003")
    folder(nested, "companions", one)
    os.utime(nested, (OLD, OLD))
    log = empty.with_name(f"{empty.name}.log")
    log.write_text("begun")
    before = set(day.iterdir()) - {empty, linked, nested, log}
    assert removed(importing, logins, ours=one) == {empty.name, linked.name, nested.name}
    assert set(day.iterdir()) == before
    assert one.is_file()


def test_what_omero_knows_is_young_or_holds_anything_else_stays(
    importing: Importing, logins: Logins, day: Path, one: Path, three: Path
) -> None:
    folder(day, "12-00-00.001", one, changed=time.time())
    folder(day, "12-00-00.002", one, changed=SINCE - 1)
    folder(day, "12-00-00.003", one, three)
    file = folder(day, "12-00-00.004", one)
    (file / "notes.txt").write_text("mine")
    os.utime(file, (OLD, OLD))
    before = sorted(home(importing).rglob("*"))
    assert removed(importing, logins, ours=one) == set()
    assert sorted(home(importing).rglob("*")) == before
    assert len(importing.found()) == 1


def test_it_is_found_where_nothing_of_the_user_is_in_omero(importing: Importing, logins: Logins, one: Path) -> None:
    stray = folder(home(importing) / "2026-11" / "28", "12-00-00.001")
    assert removed(importing, logins, ours=one) == {stray.name}


def test_a_user_without_any_folder_has_no_strays(importing: Importing, logins: Logins, one: Path) -> None:
    assert removed(importing, logins, ours=one) == set()


def test_the_log_of_a_fileset_that_never_was_goes_with_its_row(
    importing_here: Importing, server_here: ServerHere, one: Path
) -> None:
    server_here.disturb.fail("import.logged", exception="Ice.CommunicatorDestroyedException")  # no further, as one that dies
    with pytest.raises(AdiError):
        importing_here.run(importing_here.plan(one))
    [log] = home(importing_here).rglob("*.log")
    os.utime(log.with_suffix(""), (OLD, OLD))
    with Logins(server_here.account) as logins:
        assert removed(importing_here, logins, ours=one) == {log.stem}
    assert list(log.parent.iterdir()) == []
    rows = "select f.id from OriginalFile f where f.name = :name"
    assert importing_here.session.query(rows, name=log.name) == []


def test_what_was_given_to_somebody_in_a_group_of_theirs_keeps_its_links(importing: Importing, logins: Logins, one: Path) -> None:
    fileset = importing.begin(importing.plan(one))
    service = logins.service()
    admin = service.factory.getAdminService()
    group = make_group(admin, permissions="rw----")
    heir, private = admin.lookupExperimenter(make_user(admin, group)), admin.lookupGroup(group)
    for request in (
        omero.cmd.Chown2(targetObjects={"Fileset": [fileset]}, userId=heir.getId().getValue()),
        omero.cmd.Chgrp2(targetObjects={"Fileset": [fileset]}, groupId=private.getId().getValue()),
    ):
        handle = service.factory.submit(request, {"omero.group": "-1"})
        assert not isinstance(finished(service, handle, doing="giving", patience_seconds=30), omero.cmd.ERR)
    assert importing.session.query("select s.id from Fileset s where s.id = :id", all_groups=True, id=fileset) == []
    before = aged(importing)
    assert removed(importing, logins, ours=one) == set()
    assert links(importing) == before


@pytest.mark.parametrize("prefix", ["12-00-00.000/", "2026-11/"])
def test_what_was_imported_when_the_template_was_another_keeps_its_links(
    prefix: str, importing: Importing, logins: Logins, one: Path
) -> None:
    older = importing.begin(importing.plan(one))
    importing.begin(importing.plan(one))
    queries, update = importing.session.factory.getQueryService(), importing.session.factory.getUpdateService()
    row = queries.get("Fileset", older)
    row.setTemplatePrefix(rstring(f"{home(importing).name}/{prefix}"))
    update.saveObject(row)
    kept = folder(home(importing) / prefix / "a", "b", one) / "0.tif"
    aged(importing)
    removed(importing, logins, ours=one)
    assert kept.is_symlink()
