# SPDX-License-Identifier: GPL-2.0-or-later
"""What an import is refused for, by cause and class, and what is left then; as recorded on a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import Ice
import omero
import omero.grid
import pytest
from omero.rtypes import rstring

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, images_of, make_user, rows


def repository_of(client: Any) -> Any:
    proxies = client.sf.sharedResources().repositories().proxies
    return next(filter(None, map(omero.grid.ManagedRepositoryPrx.checkedCast, proxies)))


def fileset_of(*paths: str | None, jobs: int = 1) -> Any:
    fileset = omero.model.FilesetI()
    for path in paths:
        entry = omero.model.FilesetEntryI()
        entry.clientPath = rstring(path) if path is not None else None
        fileset.addFilesetEntry(entry)
    for _ in range(jobs):
        fileset.linkJob(omero.model.UploadJobI())
    return fileset


def settings_with(algorithm: str | None) -> Any:
    settings = omero.grid.ImportSettings()
    if algorithm is not None:
        settings.checksumAlgorithm = omero.model.ChecksumAlgorithmI()
        settings.checksumAlgorithm.value = rstring(algorithm)
    return settings


def with_wrong_job() -> Any:
    fileset = fileset_of("a.tif", jobs=0)
    fileset.linkJob(omero.model.IndexingJobI())
    return fileset


@pytest.mark.parametrize(
    ("fileset", "algorithm", "kind", "message"),
    [
        (lambda: None, "SHA1-160", omero.ApiUsageException, "No paths provided"),
        (fileset_of, "SHA1-160", omero.ApiUsageException, "No paths provided"),
        (lambda: fileset_of("a.tif"), None, omero.ApiUsageException, "must specify checksum algorithm"),
        (lambda: fileset_of("a.tif"), "NOPE", omero.ValidationException, "unknown checksum algorithm: NOPE"),
        (lambda: fileset_of(None), "SHA1-160", Ice.UnknownException, ""),
        (lambda: fileset_of("a.tif", jobs=0), "SHA1-160", omero.ValidationException, "Found more than one job link. "),
        (lambda: fileset_of("a.tif", jobs=2), "SHA1-160", omero.ValidationException, "Found more than one job link. "),
        (with_wrong_job, "SHA1-160", omero.ValidationException, "Found"),
        (lambda: fileset_of("a.tif", "a.tif"), "SHA1-160", omero.ValidationException, "could not insert"),
        (lambda: fileset_of("x/" + "../" * 9 + "a.tif", "y/b.tif"), "SHA1-160", omero.ValidationException, "above root"),
    ],
)
def test_what_cannot_be_registered(
    client: Any, fileset: Callable[[], Any], algorithm: str | None, kind: Any, message: str
) -> None:
    with pytest.raises(kind) as refused:
        repository_of(client).importFileset(fileset(), settings_with(algorithm))
    assert message in (getattr(refused.value, "message", None) or "")
    mine = "select count(f) from Fileset f where f.details.owner.id = :id"
    assert rows(client, mine, id=client.sf.getAdminService().getEventContext().userId) == [[0]]


def test_settings_are_needed(client: Any) -> None:
    with pytest.raises(omero.ApiUsageException, match="must specify checksum algorithm"):
        repository_of(client).importFileset(fileset_of("a.tif"), None)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_checksums(client: Any, one: Path, three: Path, count: int) -> None:
    job = InPlace(client, [one, three], None)
    with pytest.raises(omero.ApiUsageException, match=f"hashes size should be 2 not {count}"):
        job.process.verifyUpload(["00"] * count)
    job.link()
    assert len(job.response(job.verify()).objects) == 1


def test_checksums_are_compared_letter_by_letter(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None, checksumAlgorithm=settings_with("SHA1-160").checksumAlgorithm)
    job.link()
    known = rows(client, "select e.originalFile.hash from FilesetEntry e where e.fileset.id = :id", id=job.fileset)[0][0]
    with pytest.raises(omero.ChecksumValidationException) as mismatch:
        job.verify([known.upper()])
    assert mismatch.value.failingChecksums == {0: known}
    assert len(job.response(job.verify([known])).objects) == 1


def test_nothing_was_uploaded(client: Any, one: Path, three: Path) -> None:
    job = InPlace(client, [one, three], None)
    with pytest.raises(Ice.UnknownException):
        job.verify()
    job.link(count=1)
    with pytest.raises(Ice.UnknownException):
        job.verify()
    job.process.getUploader(1)
    with pytest.raises(Ice.UnknownException):
        job.verify()
    assert images_of(client, job.fileset) == []


def test_a_link_that_was_not_saved_again_has_the_checksum_of_the_mark(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    uploader = job.process.getUploader(0)
    uploader.write(b"mark", 0, 4)
    uploader.close()
    with pytest.raises(omero.ChecksumValidationException) as mismatch:
        job.verify()
    assert mismatch.value.failingChecksums == {0: (4).to_bytes(8, "little").hex()}


def test_a_file_that_the_fileset_does_not_have(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    for index in (1, -1):
        with pytest.raises(Ice.UnknownException):
            job.process.getUploader(index)


def test_a_name_that_is_too_long_for_the_disk(client: Any, tmp_path: Path) -> None:
    for name, fits in (("x" * 251 + ".tif", True), ("x" * 252 + ".tif", False)):
        uploader = InPlace(client, [tmp_path / name], None).process.getUploader(0)
        if fits:
            uploader.write(b"m", 0, 1)
        else:
            with pytest.raises(omero.ResourceError, match="File name too long"):
                uploader.write(b"m", 0, 1)


def test_a_source_that_has_gone_is_an_error_of_the_start(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    job.link()
    hashes = job.hashes()
    one.unlink()
    response = job.response(job.verify(hashes))
    assert (type(response), response.name) == (omero.cmd.ERR, "error-on-init")
    assert sorted(response.parameters) == ["message", "stacktrace"]
    assert response.category == "::omero::grid::ImportRequest"


# A context of one's own: a client's calls carry its session and its id, unless it sends a context that leaves them out.


@pytest.fixture
def whole(client: Any) -> dict[str, str]:
    """What omero.client sends unasked."""
    return dict(client.getImplicitContext().getContext())


def test_a_context_without_the_session(client: Any, user: User) -> None:
    for call in ("importFileset", "fileExists"):
        arguments = (fileset_of("a.tif"), settings_with("SHA1-160")) if call == "importFileset" else ("/",)
        with pytest.raises(Ice.UnknownException):
            getattr(repository_of(client), call)(*arguments, {"omero.group": str(user.group_id)})


def test_a_context_without_the_client_registers_and_is_refused_then(client: Any, whole: dict[str, str]) -> None:
    context = {"omero.session.uuid": whole["omero.session.uuid"]}
    with pytest.raises(omero.InternalException, match="Cannot create session id for servant:"):
        repository_of(client).importFileset(fileset_of("a.tif"), settings_with("SHA1-160"), context)
    mine = "select count(f) from Fileset f where f.details.owner.id = :id"
    assert rows(client, mine, id=client.sf.getAdminService().getEventContext().userId) == [[1]]


def test_a_context_of_a_group_that_is_not_the_users(client: Any, user: User, whole: dict[str, str]) -> None:
    context = {**whole, "omero.group": str(user.other_group_id)}
    with pytest.raises(Ice.UnknownException):
        repository_of(client).importFileset(fileset_of("a.tif"), settings_with("SHA1-160"), context)


def test_a_context_of_all_groups(client: Any, whole: dict[str, str]) -> None:
    with pytest.raises(omero.ApiUsageException, match="No valid permissions available!"):
        repository_of(client).importFileset(fileset_of("a.tif"), settings_with("SHA1-160"), {**whole, "omero.group": "-1"})


def test_a_file_of_another_group_is_not_saved_from_the_sessions(devserver: OmeroServer, one: Path) -> None:
    user = make_user(devserver)
    with devserver.client() as root:
        admin = root.sf.getAdminService()
        admin.addGroups(omero.model.ExperimenterI(user.id, False), [omero.model.ExperimenterGroupI(user.other_group_id, False)])
    with devserver.client(user.name, PASSWORD) as client:
        context = {**client.getImplicitContext().getContext(), "omero.group": str(user.other_group_id)}
        process = repository_of(client).importFileset(fileset_of(str(one)), settings_with("File-Size-64"), context)
        uploader = process.getUploader(0, context)
        uploader.write(b"mark", 0, 4)
        with pytest.raises(omero.SecurityViolation, match="Currently logged into group"):
            uploader.save()
        assert uploader.save(context).size.val == 4
