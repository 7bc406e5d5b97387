# SPDX-License-Identifier: GPL-2.0-or-later
"""A store with the groups and users of the recordings, and what is needed to fill it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import omero.model as m
import omero.sys
import pytest
from omero.rtypes import rint, rlist, rlong, rstring

from omero_devserver.store.caller import Caller
from omero_devserver.store.people import PRIVATE, READ_ANNOTATE, READ_ONLY, READ_WRITE, SYSTEM_GROUP, USER_GROUP, Person
from omero_devserver.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GROUPS = {"gpriv": PRIVATE, "gro": READ_ONLY, "gra": READ_ANNOTATE, "grw": READ_WRITE, "gother": READ_ONLY}
ADMINS = {"anone": frozenset(), "awowned": frozenset({"WriteOwned"}), "adelo": frozenset({"DeleteOwned"})}


@dataclass(frozen=True)
class Lab:
    """alice (owner of the data), bob (member), gown (group owner), carol (in another group), root and restricted admins."""

    store: Store

    def group(self, name: str) -> int:
        found = self.store.people.group_id(name)
        assert found is not None
        return found

    def caller(self, name: str, group: str | int) -> Caller:
        user = self.store.people.user_id(name)
        assert user is not None
        memberships = self.store.people.memberships(user)
        return Caller(
            user=user,
            group=self.group(group) if isinstance(group, str) else group,
            admin=0 in memberships.member_of,
            member_of=memberships.member_of,
            leader_of=memberships.leader_of,
            privileges=self.store.people.privileges(user),
            session=None,
        )

    def save(self, caller: Caller, obj: Any) -> Any:
        return self.store.save(caller, [obj])[0]

    def dataset(self, caller: Caller, name: str = "data") -> Any:
        dataset = m.DatasetI()
        dataset.name = rstring(name)
        return self.save(caller, dataset)

    def imported(self, caller: Caller, images: int = 1, dataset: Any = None) -> Any:
        """Save a fileset as an import in place leaves it; returns it with its images."""
        fileset = m.FilesetI()
        fileset.templatePrefix = rstring("alice_2/2026-11/24/")
        entry = m.FilesetEntryI()
        entry.clientPath = rstring("data/a.fake")
        entry.originalFile = original_file("a.fake")
        fileset.addFilesetEntry(entry)
        for kind in (m.UploadJobI, m.MetadataImportJobI, m.PixelDataJobI, m.IndexingJobI):
            fileset.linkJob(kind())
        log = m.JobOriginalFileLinkI()
        log.parent, log.child = fileset.linkedJobList()[1], original_file("import.log")
        fileset.linkedJobList()[1].addJobOriginalFileLink(log)
        comment = m.CommentAnnotationI()
        comment.textValue = rstring("ome.formats.importer.transfers.SymlinkFileTransfer")
        fileset.linkAnnotation(comment)
        for number in range(images):
            image = new_image(f"image {number}")
            if dataset is not None:
                image.linkDataset(m.DatasetI(dataset.id.val, False))
            fileset.addImage(image)
        return self.save(caller, fileset)

    def count(self, entity: str) -> int:
        return int(self.store.rows(f"SELECT count(*) FROM t_{entity}")[0][0])


def original_file(name: str) -> Any:
    file = m.OriginalFileI()
    file.path, file.name, file.repo = rstring("alice_2/"), rstring(name), rstring("repository")
    return file


def new_image(name: str = "image", channels: int = 1) -> Any:
    pixels = m.PixelsI()
    pixels.sizeX, pixels.sizeY, pixels.sizeZ, pixels.sizeC, pixels.sizeT = (rint(n) for n in (32, 16, 1, channels, 1))
    pixels.sha1 = rstring("Pending...")
    pixels.pixelsType, pixels.dimensionOrder = m.PixelsTypeI(), m.DimensionOrderI()
    pixels.pixelsType.value, pixels.dimensionOrder.value = rstring("uint8"), rstring("XYZCT")
    for number in range(channels):
        channel = m.ChannelI()
        channel.logicalChannel = m.LogicalChannelI()
        channel.logicalChannel.name = rstring(f"ch{number}")
        pixels.addChannel(channel)
    image = m.ImageI()
    image.name = rstring(name)
    image.addPixels(pixels)
    return image


def parameters(**values: Any) -> Any:
    """Parameters of a query: ints are longs, lists are lists of longs, text is text."""
    found = omero.sys.ParametersI()
    for name, value in values.items():
        match value:
            case int():
                found.add(name, rlong(value))
            case str():
                found.add(name, rstring(value))
            case list():
                found.add(name, rlist([rlong(item) for item in value]))
            case _:
                found.add(name, value)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "omero.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a store with groups and users; made once, as hashing passwords takes its time."""
    path = tmp_path_factory.mktemp("store") / "omero.db"
    store = Store(path)
    people = store.people
    groups = {name: people.add_group(name, permissions) for name, permissions in GROUPS.items()}
    shared = [groups[name] for name in ("gro", "gpriv", "gra", "grw")]
    for name, of in {"alice": shared, "bob": shared, "gown": shared, "carol": [groups["gother"]]}.items():
        user = people.add_user(Person(name=name, first_name=name, last_name="Test"), name, [*of, USER_GROUP])
        for group in of if name == "gown" else []:
            people.set_owner(user, group, True)
    for name, privileges in ADMINS.items():
        admin = Person(name=name, first_name=name, last_name="Test")
        people.add_user(admin, name, [SYSTEM_GROUP, USER_GROUP], privileges=privileges)
    store.close()
    return path


@pytest.fixture
def lab(prepared: Path, tmp_path: Path) -> Iterator[Lab]:
    shutil.copy(prepared, tmp_path / "lab.db")
    store = Store(tmp_path / "lab.db")
    yield Lab(store)
    store.close()


@pytest.fixture
def image() -> Any:
    return new_image


@pytest.fixture
def given() -> Any:
    return parameters
