# SPDX-License-Identifier: GPL-2.0-or-later
"""The managed repository as a folder tree: what a client may look at, make, write and delete; as on a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import Ice
import omero
import omero.cmd
import omero.grid
import pytest
from omero.rtypes import rstring, unwrap

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, make_user, response_of, rows


@pytest.fixture
def repository(client: Any) -> Any:
    proxies = client.sf.sharedResources().repositories().proxies
    return next(filter(None, map(omero.grid.ManagedRepositoryPrx.checkedCast, proxies)))


@pytest.fixture
def mine(repository: Any, client: Any, user: User, one: Path) -> str:
    """The user's own folder; it comes with the first import."""
    InPlace(client, [one], None)
    return f"/{user.name}_{user.id}"


@pytest.fixture
def disk(repository: Any) -> Path:
    where = repository.root()
    return Path(where.path.val, where.name.val)


def written(repository: Any, path: str, content: bytes) -> int:
    store = repository.file(path, "rw")
    store.write(content, 0, len(content))
    file = int(store.getFileId().val)
    store.close()
    return file


def test_three_repositories_are_described(client: Any) -> None:
    found = client.sf.sharedResources().repositories()
    assert [row.mimetype.val for row in found.descriptions] == ["Repository"] * 3
    assert [row.name.val for row in found.descriptions][:2] == ["scripts", "ManagedRepository"]
    assert len(found.proxies) == 3
    for row, proxy in zip(found.descriptions, found.proxies, strict=True):
        assert proxy is None or proxy.root().id.val == row.id.val


def test_folders_are_made_in_ones_own_tree(repository: Any, mine: str, disk: Path, client: Any) -> None:
    repository.makeDir(mine + "/a", False)
    repository.makeDir(mine + "/a/b/c", True)
    repository.makeDir(mine + "/a/b/c", True)  # is there already
    assert (disk / mine.strip("/") / "a/b/c").is_dir()
    hql = "select o.mimetype, o.details.group.name from OriginalFile o where o.path = :path and o.name = 'c'"
    assert rows(client, hql, path=mine.strip("/") + "/a/b/") == [["Directory", "user"]]
    assert repository.fileExists(mine + "/a/b")
    assert not repository.fileExists(mine + "/x")


@pytest.mark.parametrize(
    ("path", "parents", "kind", "message"),
    [
        ("MINE/a", False, omero.ResourceError, "Path exists on disk"),
        ("MINE/q/r", False, omero.SecurityViolation, "Cannot find parent directory: CheckedPath(MINE/q)"),
        ("/made", False, omero.ValidationException, 'cannot create directory "made" with template path\'s root-owned "MINE"'),
        ("/made/x", True, omero.ValidationException, 'cannot create directory "made"'),
        ("/bob_3/made", False, omero.ValidationException, 'cannot create directory "bob_3/made"'),
        ("/../x", False, omero.ValidationException, "Path may not make references above root"),
        ("MINE/a:b", False, omero.ValidationException, "illegal"),
        ("/", True, omero.ResourceError, "Cannot re-create root!"),
        ("MINE/file/x", True, omero.ResourceError, "not a directory"),
    ],
)
def test_folders_that_are_refused(repository: Any, mine: str, path: str, parents: bool, kind: Any, message: str) -> None:  # noqa: FBT001
    repository.makeDir(mine + "/a", False)
    written(repository, mine + "/file", b"x")
    with pytest.raises(kind) as refused:
        repository.makeDir(path.replace("MINE", mine), parents)
    assert message.replace("MINE", mine.strip("/")) in refused.value.message


def test_a_file_is_written_read_and_listed(repository: Any, mine: str, client: Any) -> None:
    file = written(repository, mine + "/note.txt", b"hello")
    reader = repository.file(mine + "/note.txt", "r")
    assert reader.read(0, 5) == b"hello"
    with pytest.raises(omero.SecurityViolation, match="File not writeable!"):
        reader.write(b"x", 0, 1)
    assert repository.fileById(file).read(1, 2) == b"el"
    hql = "select o.size, o.hash, o.hasher.value from OriginalFile o where o.id = :id"
    assert rows(client, hql, id=file) == [[5, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", "SHA1-160"]]
    assert mine.strip("/") + "/note.txt" in repository.list(mine)
    assert "note.txt" in [row.name.val for row in repository.listFiles(mine)]
    assert repository.mimetype(mine + "/note.txt") == "text/plain"
    tree = unwrap(repository.treeList(mine))[mine.strip("/")]
    assert tree["mimetype"] == "Directory"
    assert tree["files"]["note.txt"]["size"] == 5
    assert tree["files"]["note.txt"]["id"] == file


def test_paths_that_are_not_there(repository: Any, mine: str, disk: Path) -> None:
    with pytest.raises(omero.ValidationException, match="/nosuch does not exist"):
        repository.list("/nosuch")
    with pytest.raises(omero.ValidationException, match="does not exist"):
        repository.mimetype(mine + "/x")
    assert unwrap(repository.treeList("/nosuch")) == {}
    with pytest.raises(omero.SecurityViolation, match="FileNotFound: 999999"):
        repository.fileById(999999)
    with pytest.raises(omero.ResourceError):
        repository.file(mine + "/x", "r").read(0, 1)


def test_what_lies_there_without_a_row(repository: Any, mine: str, disk: Path, client: Any) -> None:
    place = disk / mine.strip("/") / "lost.txt"
    place.write_bytes(b"hello")
    assert not repository.fileExists(mine + "/lost.txt")
    for mode in ("r", "rw"):
        with pytest.raises(omero.grid.UnregisteredFileException):
            repository.file(mine + "/lost.txt", mode)
    registered = repository.register(mine + "/lost.txt", rstring("text/plain"))
    again = repository.register(mine + "/lost.txt", None)
    assert registered.id.val == again.id.val
    assert repository.file(mine + "/lost.txt", "r").read(0, 5) == b"hello"
    with pytest.raises(omero.SecurityViolation):
        repository.register("/", None)
    folder = disk / mine.strip("/") / "lost"
    folder.mkdir()
    (folder / "x").touch()
    with pytest.raises(omero.ResourceError, match="not registered"):
        repository.makeDir(mine + "/lost/y", True)


def test_files_of_others_are_not_written(devserver: OmeroServer, repository: Any, mine: str) -> None:
    written(repository, mine + "/note.txt", b"hello")
    other = make_user(devserver)
    with devserver.client(other.name, PASSWORD) as client:
        theirs = next(
            filter(None, map(omero.grid.ManagedRepositoryPrx.checkedCast, client.sf.sharedResources().repositories().proxies))
        )
        with pytest.raises(omero.SecurityViolation):
            theirs.file(mine + "/note.txt", "rw")
        with pytest.raises(omero.SecurityViolation):
            theirs.file(mine + "/note.txt", "r").read(0, 1)


def test_paths_are_deleted_with_what_is_below_them(repository: Any, mine: str, disk: Path, client: Any) -> None:
    repository.makeDir(mine + "/a/b", True)
    written(repository, mine + "/a/b/note.txt", b"hello")
    response = response_of(client, repository.deletePaths([mine + "/a"], True, False))
    assert isinstance(response, omero.cmd.Delete2Response)
    assert len(response.deletedObjects["ome.model.core.OriginalFile"]) == 3
    assert not (disk / mine.strip("/") / "a").exists()
    assert not repository.fileExists(mine + "/a")


def test_checksums_that_fit_no_more_are_named(repository: Any, mine: str, disk: Path) -> None:
    good, bad = (written(repository, f"{mine}/{name}", b"hello") for name in ("good", "bad"))
    (disk / mine.strip("/") / "bad").write_bytes(b"HELLO")
    assert repository.verifyChecksums([good, bad, 999999]) == [bad]
    size = omero.model.ChecksumAlgorithmI()
    size.value = rstring("File-Size-64")
    assert repository.setChecksumAlgorithm(size, [good]) == [good]
    assert repository.setChecksumAlgorithm(size, [good]) == []
    assert repository.verifyChecksums([good]) == []
    with pytest.raises(omero.ServerError, match="hash mismatch"):
        repository.setChecksumAlgorithm(size, [bad])
    (disk / mine.strip("/") / "bad").unlink()
    with pytest.raises(Ice.UnknownException):
        repository.verifyChecksums([bad])


def test_plain_paths_are_registered_with_the_best_checksum(repository: Any, client: Any, one: Path) -> None:
    process = repository.importPaths([str(one)])
    assert process.getImportSettings().checksumAlgorithm.value.val == "SHA1-160"
    with pytest.raises(omero.ApiUsageException, match="No paths provided"):
        repository.importPaths([])
