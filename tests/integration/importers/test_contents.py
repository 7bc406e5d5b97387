# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in filesets: images in series order, and plates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.importers import contents as contents_module
from omero_adi_plugin.importers.contents import contents
from omero_adi_plugin.orders import Target, TargetKind
from tests.fixtures.importing import FAKE, Importing, delete

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.fixtures.laboratory import Lab


def test_many_filesets_are_asked_for_at_once(
    importing: Importing, one: Path, three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents_module, "FILESETS", 2)
    filesets = [importing.begin(importing.plan(path)) for path in (one, three, one)]
    delete(importing.session, "Fileset", filesets[2:])
    found = contents(importing.session, filesets)
    assert list(found) == filesets[:2]
    assert [len(found[fileset].images) for fileset in filesets[:2]] == [1, 3]
    rows = importing.session.query("select i.id from Image i where i.fileset.id = :id order by i.series", id=filesets[1])
    assert [[image] for image in found[filesets[1]].images] == rows
    assert contents(importing.session, []) == {}


def test_plates_come_with_their_images(lab: Lab, importing: Importing, tmp_path: Path) -> None:
    path = tmp_path / "p&plates=2&plateRows=2&plateCols=2&fields=2&plateAcqs=1&sizeX=16&sizeY=16.fake"
    path.touch()
    importing.target = Target(kind=TargetKind.SCREEN, id=lab.screen)
    imported = importing.run(importing.plan(path, reader=FAKE))
    plates = lab.session.query(
        "select l.child.id from ScreenPlateLink l where l.parent.id = :id order by l.child.id", id=lab.screen
    )
    assert [[plate] for plate in imported.plates] == plates
    assert len(plates) == 2
    images = lab.session.query("select i.id from Image i where i.fileset.id = :id order by i.series", id=imported.fileset)
    assert [[image] for image in imported.images] == images
    assert len(images) == 16
