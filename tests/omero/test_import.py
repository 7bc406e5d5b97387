# SPDX-License-Identifier: GPL-2.0-or-later
"""Importing in place: rows, names, links, pixels, and what is refused; as recorded on a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import Ice
import numpy as np
import omero
import omero.grid
import pytest
import tifffile
from omero.rtypes import rbool, rstring

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, delete, images_of, new_dataset, rows
from tests.fixtures.waiting import wait_until

LEFT_BY_A_FAILURE = "select f.name, f.size, f.hash from FilesetEntry e join e.originalFile f where e.fileset.id = :id"


def plane(client: Any, pixels: Any, dtype: str, z: int = 0, c: int = 0, t: int = 0) -> Any:
    store = client.sf.createRawPixelsStore()
    store.setPixelsId(pixels.id.val, False)
    shape = (pixels.sizeY.val, pixels.sizeX.val)
    read = np.frombuffer(store.getPlane(z, c, t), dtype=np.dtype(dtype).newbyteorder(">")).reshape(shape)
    store.close()
    return read


def test_one_image(client: Any, one: Path) -> None:
    dataset = new_dataset(client)
    job = InPlace(client, [one], dataset)
    fileset = job.fileset  # visible, with its marker, before anything else has happened
    assert images_of(client, fileset) == []
    before = rows(client, LEFT_BY_A_FAILURE, id=fileset)
    assert before == [["one.tif", None, None]]
    response = job.run()
    assert [(image.name.val, image.series.val) for image in response.objects] == [("one.tif", 0)]
    assert rows(client, LEFT_BY_A_FAILURE, id=fileset) == [["one.tif", one.stat().st_size, job.hashes()[0]]]
    assert job.links[0].is_symlink()
    assert job.links[0].resolve() == one
    linked = rows(client, "select l.child.id from DatasetImageLink l where l.parent.id = :id", id=dataset)
    assert linked == [[response.objects[0].id.val]]
    assert (plane(client, response.pixels[0], "u2") == tifffile.imread(one)).all()


def test_a_name_with_letters_of_all_kinds(client: Any, one: Path) -> None:
    odd = one.rename(one.with_name("Zürich 細胞 🔬 & <a>.tif"))
    image = InPlace(client, [odd], None).run().objects[0]
    assert image.name.val == "Zürich 細胞 🔬 & [a].tif"


def test_three_images(client: Any, three: Path) -> None:
    response = InPlace(client, [three], new_dataset(client)).run()
    assert [(image.name.val, image.series.val) for image in response.objects] == [
        (f"three.ome.tif [part {number}]", number) for number in range(3)
    ]
    assert [pixels.image.id.val for pixels in response.pixels] == [image.id.val for image in response.objects]
    for number, pixels in enumerate(response.pixels):
        assert (pixels.sizeX.val, pixels.sizeY.val, pixels.sizeC.val) == (32, 16, 2)
        assert (pixels.physicalSizeX.getValue(), str(pixels.physicalSizeX.getUnit())) == (0.5, "MICROMETER")
        assert (plane(client, pixels, "u1", c=1) == 10 * number + 1).all()
    channels = "select c.logicalChannel.name from Channel c where c.pixels.id = :id order by c.id"
    assert rows(client, channels, id=response.pixels[0].id.val) == [["DAPI"], ["GFP"]]


def test_jobs_and_log(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    hql = "select type(j), j.status.value from FilesetJobLink l join l.child j where l.parent.id = :id order by j.id"
    kinds = ["UploadJob", "MetadataImportJob", "PixelDataJob", "IndexingJob"]
    assert [status for _, status in rows(client, hql, id=job.fileset)] == ["Submitted"] * 4
    job.run()
    found = rows(client, hql, id=job.fileset)
    assert [kind.rpartition(".")[2] for kind, _ in found] == kinds
    assert [status for _, status in found] == ["Finished", "Submitted", "Submitted", "Submitted"]
    log = (
        "select o.name from FilesetJobLink l join l.child j join j.originalFileLinks k join k.child o"
        " where l.parent.id = :id and o.mimetype = 'application/omero-log-file'"
    )
    assert rows(client, log, id=job.fileset) == [[job.template.name + ".log"]]
    assert (job.template.parent / (job.template.name + ".log")).stat().st_size > 0


def test_the_handle_goes_through_five_steps(client: Any, three: Path) -> None:
    job = InPlace(client, [three], None, noStatsInfo=rbool(False))
    job.link()
    handle = job.verify()
    wait_until(handle.getResponse, what="the response")
    status = handle.getStatus()
    assert (status.currentStep, status.steps, status.flags) == (4, 5, [])
    assert isinstance(handle.getRequest(), omero.grid.ImportRequest)
    extremes = (
        "select s.globalMin, s.globalMax from Channel c join c.statsInfo s where c.pixels.image.fileset.id = :id order by c.id"
    )
    assert rows(client, extremes, id=job.fileset)[-2:] == [[20.0, 20.0], [21.0, 21.0]]
    handle.close()
    with pytest.raises(Ice.ObjectNotExistException):
        handle.getStatus()


def test_what_the_user_chose(client: Any, three: Path) -> None:
    note = omero.model.CommentAnnotationI()
    note.textValue = rstring("mine")
    response = InPlace(
        client,
        [three],
        None,
        userSpecifiedName=rstring("N"),
        userSpecifiedDescription=rstring("D"),
        userSpecifiedAnnotationList=[note],
        userSpecifiedPixels=[0.1, 0.2, 0.3],
    ).run()
    assert [(image.name.val, image.description.val) for image in response.objects] == [(f"N [part {n}]", "D") for n in range(3)]
    assert [pixels.physicalSizeZ.getValue() for pixels in response.pixels] == [0.3] * 3
    hql = "select l.child.id from ImageAnnotationLink l where l.parent.id in (:ids)"
    parameters = omero.sys.ParametersI().addIds([image.id.val for image in response.objects])
    links = [row[0].val for row in client.sf.getQueryService().projection(hql, parameters)]
    assert len(links) == 3
    assert len(set(links)) == 1


def test_wrong_checksums_are_named_and_right_ones_accepted_afterwards(client: Any, one: Path, three: Path) -> None:
    job = InPlace(client, [one, three], None)
    job.link()
    with pytest.raises(omero.ChecksumValidationException) as mismatch:
        job.verify([job.hashes()[0], "00" * 8])
    assert mismatch.value.failingChecksums == {1: job.hashes()[1]}
    with pytest.raises(omero.ApiUsageException) as refused:
        job.verify(job.hashes()[:1])
    assert refused.value.message == "hashes size should be 2 not 1"
    assert [image.name.val for image in job.response(job.verify()).objects] == ["one.tif"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("zeros.tif", b"II*\0" + bytes(100), "No IFDs found"),
        ("random.tif", bytes(range(256)), "Invalid TIFF file: {path}"),
        ("empty.tif", b"", "Invalid TIFF file: {path}"),
        ("text.txt", b"no image", "Unknown file format: {path}"),
    ],
)
def test_a_file_that_nobody_can_read(client: Any, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    job = InPlace(client, [source], new_dataset(client))
    response = job.run()
    assert isinstance(response, omero.cmd.ERR)
    assert (response.category, response.name) == ("::omero::grid::ImportRequest", "error-on-init")
    assert response.parameters["message"] == message.format(path=job.links[0])
    assert images_of(client, job.fileset) == []
    assert rows(client, LEFT_BY_A_FAILURE, id=job.fileset) == [[name, len(content), job.hashes()[0]]]
    assert job.links[0].is_symlink()


def test_a_stack_is_a_time_series_and_a_cut_one_shorter(client: Any, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, np.zeros((8, 200, 200), "u1"), metadata={"axes": "ZYX"})
    cut.write_bytes(whole.read_bytes()[:-100_000])
    for path, size in ((whole, 8), (cut, 1)):
        pixels = InPlace(client, [path], None).run().pixels[0]
        assert (pixels.sizeT.val, pixels.sizeZ.val) == (size, 1)


def test_a_plane_whose_data_are_cut_off_is_black_and_no_error(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "half.tif"
    tifffile.imwrite(path, np.full((256, 256), 7, "u1"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pixels = InPlace(client, [path], None, noStatsInfo=rbool(False)).run().pixels[0]
    assert plane(client, pixels, "u1").shape == (256, 256)


def test_an_ome_tiff_whose_header_is_broken_is_a_plain_tiff(client: Any, three: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ome.tif"
    broken.write_bytes(three.read_bytes().replace(b"</Pixels>", b"</Pixelz>"))
    response = InPlace(client, [broken], None).run()
    assert [(pixels.sizeC.val, pixels.sizeT.val) for pixels in response.pixels] == [(1, 6)]


def test_targets_that_are_not_there_or_hold_no_images(client: Any, one: Path) -> None:
    gone = new_dataset(client)
    delete(client, Dataset=[gone])
    job = InPlace(client, [one], gone)
    response = job.run()
    assert (response.name, response.parameters["message"]) == ("import-request-failure", "omero.ValidationException")
    assert images_of(client, job.fileset) == []
    assert job.links[0].is_symlink()
    project = InPlace(client, [one], None, userSpecifiedTarget=omero.model.ProjectI(1, False)).run()
    assert project.parameters["message"].startswith("Unable to handle target: ")


def test_what_importing_refuses_at_once(client: Any, one: Path) -> None:
    repository = InPlace(client, [one], None).repository
    settings = omero.grid.ImportSettings()
    with pytest.raises(omero.ApiUsageException, match="No paths provided"):
        repository.importFileset(omero.model.FilesetI(), settings)
    fileset = omero.model.FilesetI()
    entry = omero.model.FilesetEntryI()
    entry.clientPath = rstring("a.tif")
    fileset.addFilesetEntry(entry)
    with pytest.raises(omero.ApiUsageException, match="must specify checksum algorithm"):
        repository.importFileset(fileset, settings)
    settings.checksumAlgorithm = omero.model.ChecksumAlgorithmI()
    settings.checksumAlgorithm.value = rstring("NOPE")
    with pytest.raises(omero.ValidationException, match="unknown checksum algorithm: NOPE"):
        repository.importFileset(fileset, settings)
    settings.checksumAlgorithm.value = rstring("SHA1-160")
    with pytest.raises(omero.ValidationException, match="Found more than one job link"):
        repository.importFileset(fileset, settings)


def test_names_are_rewritten_and_folders_kept_apart(client: Any, tmp_path: Path) -> None:
    paths = [tmp_path / "a" / 'x:y?z*"<>|\\.tif', tmp_path / "b" / "x\n.tif"]
    job = InPlace(client, paths, None)
    hql = "select f.path, f.name, e.clientPath from FilesetEntry e join e.originalFile f where e.fileset.id = :id order by e.id"
    found = rows(client, hql, id=job.fileset)
    prefix = str(job.template.relative_to(job.root)) + "/"
    assert [(path.removeprefix(prefix), name) for path, name, _ in found] == [("a/", "x;y%zx'[]!!.tif"), ("b/", "x_.tif")]
    assert [sent for _, _, sent in found] == [str(path).lstrip("/") for path in paths]


def test_imports_that_begin_at_once_get_folders_of_their_own(devserver: OmeroServer, user: User, one: Path) -> None:
    def imported(_: int) -> str:
        with devserver.client(user.name, PASSWORD) as client:
            job = InPlace(client, [one], None)
            assert len(job.run().objects) == 1
            return str(job.template)

    with ThreadPoolExecutor(8) as clients:
        assert len(set(clients.map(imported, range(8)))) == 8


def test_deleting_an_import_takes_link_and_log_and_leaves_the_source(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    response = job.run()
    log = job.template.parent / (job.template.name + ".log")
    template, link = job.template, job.links[0]
    assert log.exists()
    deleted = delete(client, Image=[response.objects[0].id.val])
    assert {"ome.model.core.Image", "ome.model.fs.Fileset"} <= set(deleted.deletedObjects)
    assert not link.is_symlink()
    assert not log.exists()
    assert template.is_dir()
    assert one.exists()


def test_one_image_of_three_cannot_be_deleted(client: Any, three: Path) -> None:
    job = InPlace(client, [three], None)
    response = job.run()
    refused = delete(client, Image=[response.objects[0].id.val])
    assert isinstance(refused, omero.cmd.GraphException)
    assert refused.message.startswith(f"within Fileset[{job.fileset}] may not delete Image[")
    assert len(images_of(client, job.fileset)) == 3


def test_a_fileset_deleted_before_the_upload_is_verified_fences_the_import(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    job.link()
    delete(client, Fileset=[job.fileset])
    with pytest.raises(omero.ChecksumValidationException):
        job.verify()


def test_an_attachment_is_written_and_read(client: Any) -> None:
    store = client.sf.createRawFileStore()
    note = omero.model.OriginalFileI()
    note.name, note.path, note.mimetype = rstring("note"), rstring("/"), rstring("text/plain")
    note.hasher = omero.model.ChecksumAlgorithmI()
    note.hasher.value = rstring("SHA1-160")  # without one there is no hash
    saved = client.sf.getUpdateService().saveAndReturnObject(note)
    store.setFileId(saved.id.val)
    store.write(b"hello", 0, 5)
    row = store.save()
    assert (row.size.val, store.read(0, 8)) == (5, b"hello\0\0\0")
    assert row.hash.val == "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
    store.close()


def test_a_tile_and_a_hypercube(client: Any, three: Path) -> None:
    pixels = InPlace(client, [three], None).run().pixels[2]
    store = client.sf.createRawPixelsStore()
    with pytest.raises(omero.ApiUsageException, match="has not been properly initialized"):
        store.getPlane(0, 0, 0)
    store.setPixelsId(pixels.id.val, False)
    assert store.getTile(0, 1, 0, 4, 2, 3, 2) == bytes([21]) * 6
    assert store.getHypercube([0, 0, 0, 0, 0], [2, 2, 1, 2, 1], [1, 1, 1, 1, 1]) == bytes([20] * 4 + [21] * 4)
    assert (store.getByteWidth(), store.isSigned(), store.getTileSize()) == (1, False, [32, 16])
    with pytest.raises(omero.ApiUsageException, match="Z '9' greater than sizeZ '1'"):
        store.getPlane(9, 0, 0)
    store.close()
    with pytest.raises(omero.ValidationException, match="Cannot read pixels id=999999"):
        client.sf.createRawPixelsStore().setPixelsId(999999, False)
