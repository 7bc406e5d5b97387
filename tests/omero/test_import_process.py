# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of an import: uploaders, checksums, handle, what it writes down; as recorded on a real server."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import Ice
import omero
import omero.cmd
import pytest
from omero.plugins.fs import ImportTime
from omero.rtypes import rbool, rstring

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, images_of, new_dataset, rows
from tests.fixtures.waiting import wait_until

ENTRIES = "select f.size, f.hash, f.hasher.value from FilesetEntry e join e.originalFile f where e.fileset.id = :id order by e.id"
LITTLE: dict[str, Callable[[bytes], str]] = {
    "SHA1-160": lambda content: hashlib.sha1(content, usedforsecurity=False).hexdigest(),
    "MD5-128": lambda content: hashlib.md5(content, usedforsecurity=False).hexdigest(),
    "CRC-32": lambda content: zlib.crc32(content).to_bytes(4, "little").hex(),
    "Adler-32": lambda content: zlib.adler32(content).to_bytes(4, "little").hex(),
    "File-Size-64": lambda content: len(content).to_bytes(8, "little").hex(),
}


def algorithm(name: str) -> Any:
    made = omero.model.ChecksumAlgorithmI()
    made.value = rstring(name)
    return made


def test_the_algorithms_and_their_order(client: Any, one: Path) -> None:
    repository = InPlace(client, [one], None).repository
    names = [known.value.val for known in repository.listChecksumAlgorithms()]
    assert names == ["SHA1-160", "MD5-128", "Murmur3-128", "Murmur3-32", "CRC-32", "Adler-32", "File-Size-64"]
    suggest = repository.suggestChecksumAlgorithm
    assert suggest([algorithm("File-Size-64"), algorithm("CRC-32")]).value.val == "CRC-32"
    assert suggest([algorithm("nonsense")]) is None


@pytest.mark.parametrize("name", LITTLE)
def test_checksums_of_every_algorithm_are_compared(client: Any, one: Path, name: str) -> None:
    job = InPlace(client, [one], None, checksumAlgorithm=algorithm(name))
    job.link()
    right = LITTLE[name](one.read_bytes())
    assert rows(client, ENTRIES, id=job.fileset) == [[one.stat().st_size, right, name]]
    with pytest.raises(omero.ChecksumValidationException):
        job.verify(["0" * len(right)])
    assert len(job.response(job.verify([right])).objects) == 1


@pytest.mark.parametrize(("name", "digits"), [("Murmur3-128", 32), ("Murmur3-32", 8)])
def test_checksums_that_python_does_not_have(client: Any, one: Path, name: str, digits: int) -> None:
    job = InPlace(client, [one], None, checksumAlgorithm=algorithm(name))
    job.link()
    known = rows(client, ENTRIES, id=job.fileset)[0][1]
    assert len(known) == digits
    assert len(job.response(job.verify([known])).objects) == 1


def test_the_checksum_is_that_of_the_save(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    job.link()
    before, size = job.hashes(), one.stat().st_size
    with one.open("ab") as file:
        file.write(b"x" * 100)
    assert len(job.response(job.verify(before)).objects) == 1
    assert rows(client, ENTRIES, id=job.fileset) == [[size, before[0], "File-Size-64"]]


def test_a_link_that_takes_the_place_of_what_was_written_is_what_the_close_saves(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    uploader = job.process.getUploader(0)
    uploader.write(b"mark", 0, 4)
    file = client.sf.getQueryService().get("OriginalFile", uploader.getFileId().val)
    place = job.root / file.path.val / file.name.val
    place.unlink()
    place.symlink_to(one)
    uploader.close()
    assert rows(client, ENTRIES, id=job.fileset) == [[one.stat().st_size, job.hashes()[0], "File-Size-64"]]
    assert len(job.response(job.verify()).objects) == 1


def test_a_file_has_one_uploader_at_a_time(client: Any, one: Path) -> None:
    process = InPlace(client, [one], None).process
    first = process.getUploader(0)
    assert process.getUploader(0) == first
    assert process.getUploadOffset(0) == 0
    first.write(b"abcd", 0, 4)
    assert process.getUploadOffset(0) == 4
    first.close()
    with pytest.raises(Ice.ObjectNotExistException):
        first.size()
    assert process.getUploadOffset(0) == 0  # of none that is open
    second = process.getUploader(0)
    assert second != first
    assert (second.size(), second.read(0, 4)) == (4, b"abcd")


def test_an_uploader_saves_what_is_new_only(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    uploader = job.process.getUploader(0)
    uploader.write(b"abcd", 0, 4)
    assert uploader.save().size.val == 4
    assert uploader.save() is None
    assert uploader.truncate(4) is False
    assert uploader.truncate(2) is True
    uploader.close()
    assert rows(client, ENTRIES, id=job.fileset)[0][0] == 2


def test_the_handle_goes_through_five_steps(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    job.link()
    assert job.process.getHandle() is None
    handle = job.verify()
    assert job.process.getHandle() == handle
    seen: list[tuple[int, int]] = []

    def over() -> bool:
        status = handle.getStatus()
        if (status.currentStep, status.steps) not in seen:
            seen.append((status.currentStep, status.steps))
        return handle.getResponse() is not None

    wait_until(over, what="the response")
    status = handle.getStatus()
    assert seen == sorted(seen)
    assert set(seen) <= {(0, 0), (0, 5), (1, 5), (2, 5), (3, 5), (4, 5)}
    assert (status.currentStep, status.steps, status.flags) == (4, 5, [])
    assert 0 < status.startTime <= status.stopTime
    request = handle.getRequest()
    assert isinstance(request, omero.grid.ImportRequest)
    assert request.location.usedFiles == [one.name]
    assert handle.cancel() is False


def test_the_handle_of_a_failing_import_says_so(client: Any, tmp_path: Path) -> None:
    source = tmp_path / "none.txt"
    source.write_text("no image")
    job = InPlace(client, [source], None)
    job.link()
    handle = job.verify()
    wait_until(handle.getResponse, what="the response")
    status = handle.getStatus()
    assert sorted(str(flag) for flag in status.flags) == ["CANCELLED", "FAILURE"]
    assert (status.currentStep, status.steps) == (0, 5)


def test_verifying_again_imports_again(client: Any, one: Path) -> None:
    dataset = new_dataset(client)
    job = InPlace(client, [one], dataset)
    first = job.run()
    handle = job.verify()
    second = job.response(handle)
    assert first.objects[0].id.val < second.objects[0].id.val
    assert len(images_of(client, job.fileset)) == 2
    assert rows(client, "select count(l) from DatasetImageLink l where l.parent.id = :id", id=dataset) == [[2]]


def test_a_closed_process_is_gone_and_still_listed(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    before = len(job.repository.listImports())
    job.process.close()
    with pytest.raises(Ice.ObjectNotExistException):
        job.process.getUploader(0)
    assert len(job.repository.listImports()) == before
    assert len(InPlace(client, [one], None).repository.listImports()) == before + 1


def test_a_closed_process_does_not_keep_the_session_in_its_group(client: Any, user: User, one: Path) -> None:
    job = InPlace(client, [one], None)
    group = omero.model.ExperimenterGroupI(user.group_id, False)
    with pytest.raises(omero.SecurityViolation, match="SecurityContext change cancelled"):
        client.sf.setSecurityContext(group)
    job.process.close()
    client.sf.setSecurityContext(group)


def test_others_see_no_process_that_they_may_not_change(devserver: OmeroServer, user: User, client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    stranger = f"stranger-{user.name}"
    devserver.add_user(stranger, PASSWORD, [user.group])  # a read-annotate group
    with devserver.client(stranger, PASSWORD) as other:
        assert InPlace(other, [one], None).repository.listImports() != []
        mine = [str(process.ice_getIdentity().name) for process in InPlace(other, [one], None).repository.listImports()]
        assert str(job.process.ice_getIdentity().name) not in mine


def test_an_uploaded_copy_is_imported_as_well(client: Any, three: Path) -> None:
    job = InPlace(client, [three], None)
    uploader = job.process.getUploader(0)
    content = three.read_bytes()
    for start in range(0, len(content), 1000):
        part = content[start : start + 1000]
        uploader.write(part, start, len(part))
    uploader.close()
    assert len(job.response(job.verify()).objects) == 3
    assert (job.template / three.name).read_bytes() == content


def test_the_time_that_an_import_took_can_be_told(client: Any, three: Path) -> None:
    job = InPlace(client, [three], None, doThumbnails=rbool(True), noStatsInfo=rbool(False))
    job.run()
    time = ImportTime(_Refusing(), client.sf.getQueryService())
    time.fileset_id = job.fileset
    time.query_durations()
    time.query_counts()
    assert {"UPLOAD", "SET_ID", "METADATA", "PIXELDATA", "RDEF", "THUMBNAIL"} <= set(time.metrics)
    assert all(milliseconds >= 0 for milliseconds in time.metrics.values())
    counts = [time.metrics[key] for key in ("UPLOAD_C", "PIXELDATA_C", "RDEF_C", "THUMBNAIL_C")]
    assert counts == [1, 6, 3, 3]


class _Refusing:
    """The context of the command line, as the plugin uses it."""

    def die(self, code: int, text: str) -> None:
        raise AssertionError(f"{code}: {text}")


def test_the_log_tells_what_happened_and_its_row_how_long_it_is(client: Any, three: Path) -> None:
    job = InPlace(client, [three], None)
    job.run()
    log = job.template.parent / f"{job.template.name}.log"
    size = (
        "select o.size, o.hash from JobOriginalFileLink k join k.child o"
        " where k.parent.id in (select l.child.id from FilesetJobLink l where l.parent.id = :id)"
    )
    assert rows(client, size, id=job.fileset) == [[log.stat().st_size, None]]
    text = log.read_text(encoding="utf-8")
    assert three.name in text
    assert "tag[omero.import.request.step]" in text


def test_the_jobs_say_who_read_the_files(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None, doThumbnails=rbool(True))
    hql = "select l.child.id, type(l.child) from FilesetJobLink l where l.parent.id = :id order by l.id"
    found = {kind.rpartition(".")[2]: number for number, kind in rows(client, hql, id=job.fileset)}
    assert list(found) == ["UploadJob", "MetadataImportJob", "PixelDataJob", "ThumbnailGenerationJob", "IndexingJob"]
    get = client.sf.getQueryService().get
    upload, metadata = (
        {pair.name: pair.value for pair in get(kind, found[kind]).versionInfo} for kind in ("UploadJob", "MetadataImportJob")
    )
    assert upload == {"bioformats.reader": "loci.formats.in.TiffDelegateReader"}
    assert {"client.language.name", "client.language.version", "os.name", "os.version", "os.architecture", "locale"} <= set(
        metadata
    )


@pytest.mark.parametrize(("thumbnails", "statistics"), [(True, False), (False, True), (None, None)])
def test_thumbnails_and_statistics_are_chosen_apart(
    client: Any, one: Path, *, thumbnails: bool | None, statistics: bool | None
) -> None:
    settings = {
        "doThumbnails": None if thumbnails is None else rbool(thumbnails),
        "noStatsInfo": None if statistics is None else rbool(not statistics),
    }
    fileset = InPlace(client, [one], None, **settings)
    fileset.run()
    sizes = "select t.sizeX, t.sizeY from Thumbnail t where t.pixels.image.fileset.id = :id"
    assert rows(client, sizes, id=fileset.fileset) == ([] if thumbnails is False else [[96, 72]])
    definitions = "select count(r) from RenderingDef r where r.pixels.image.fileset.id = :id"
    assert rows(client, definitions, id=fileset.fileset) == [[0 if thumbnails is False else 1]]
    extremes = (
        "select s.globalMin, s.globalMax from Channel c left outer join c.statsInfo s where c.pixels.image.fileset.id = :id"
    )
    assert rows(client, extremes, id=fileset.fileset) == [[None, None] if statistics is False else [0.0, 48 * 64 - 1.0]]
