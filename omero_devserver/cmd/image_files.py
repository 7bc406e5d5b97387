# SPDX-License-Identifier: GPL-2.0-or-later
"""Image files: requests about them: UsedFilesRequest, OriginalMetadataRequest, ManageImageBinaries, DiskUsage2."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import omero
import omero.api
import omero.cmd
from omero.rtypes import rlong

from omero_devserver.cmd.changes import targets_of
from omero_devserver.cmd.responses import failure, refusal, refused
from omero_devserver.cmd.work import Work, answers
from omero_devserver.formats import bioformats, readers
from omero_devserver.formats.values import Unreadable
from omero_devserver.model.schema import UnknownEntityError, find_class
from omero_devserver.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@answers(omero.cmd.UsedFilesRequest)
def used_files(work: Work, request: Any) -> Any:
    """List the files of an image's fileset. All count as binary files of this image: which series uses which is not kept."""
    if _image(work, request.imageId) is None:
        return refusal(request, "no-image", {"image-id": str(request.imageId)})
    files = [
        row[0]
        for row in work.server.store.rows(
            "SELECT e.r_originalFile FROM t_FilesetEntry e JOIN t_Image i ON i.r_fileset = e.r_fileset"
            " WHERE i.id = ? ORDER BY e.position, e.id",
            request.imageId,
        )
    ]
    return omero.cmd.UsedFilesResponse(files, [], [], [])


@answers(omero.cmd.ManageImageBinaries, steps=7)
def image_binaries(work: Work, request: Any) -> Any:
    """Say what of an image is on disk besides its fileset, and remove what of it can be made again."""
    image = _image(work, request.imageId)
    if image is None:
        return refusal(request, "no-image", {"image-id": str(request.imageId)})
    store, disk = work.server.store, work.server.disk
    fileset = None if image.fileset is None else rlong(image.fileset.id.val)
    pixels = [row[0] for row in store.rows("SELECT id FROM t_Pixels WHERE r_image = ? ORDER BY position, id", request.imageId)]
    thumbnails = [
        disk.thumbnail(row[0]) for row in store.rows("SELECT id FROM t_Thumbnail WHERE r_pixels = ?", pixels[0] if pixels else -1)
    ]
    archived = store.rows(
        "SELECT m.r_parent FROM t_PixelsOriginalFileMap m JOIN t_Pixels p ON p.id = m.r_child WHERE p.r_image = ?",
        request.imageId,
    )
    archived_ids = [row[0] for row in archived]
    response = omero.cmd.ManageImageBinariesResponse()
    response.filesetId, response.archivedFiles = fileset, archived_ids
    response.archivedSize = sum(_size(disk.attachment(file)) for file in archived_ids)
    response.thumbnailSize = sum(_size(path) for path in thumbnails)
    response.pixelSize = sum(_size(disk.pixel_buffer(one)) for one in pixels[:1])
    response.pixelsPresent = response.pixelSize > 0
    if request.togglePixels and response.pixelsPresent:
        return work.not_implemented(request, "togglePixels")
    if request.deleteThumbnails and response.thumbnailSize:
        if image.details.permissions.isDisallow(omero.constants.permissions.DELETERESTRICTION):
            return refusal(request, "thumbnail-delete-disallowed", {})
        for path in thumbnails:
            path.unlink(missing_ok=True)
    return response


@answers(omero.cmd.OriginalMetadataRequest)
def original_metadata(work: Work, request: Any) -> Any:
    """Read what the files of an image say of themselves, as Bio-Formats names it; nothing where tifffile reads in its place."""
    response = omero.cmd.OriginalMetadataResponse(None, None, {}, {})
    image = _image(work, request.imageId)
    if image is None or image.fileset is None:
        return response
    response.filesetId = rlong(image.fileset.id.val)
    path = _main_file(work, request.imageId)
    try:
        with readers.opened(path) as files:
            if isinstance(files, bioformats.Files):
                response.globalMetadata, response.seriesMetadata = files.original_metadata(
                    image.series.val if image.series else 0
                )
    except (Unreadable, OSError) as error:
        return failure(request, name="bf-reader-failure", message=str(error))
    return response


def _main_file(work: Work, image: int) -> Path:
    row = work.server.store.rows(
        "SELECT o.c_path, o.c_name FROM t_Image i JOIN t_FilesetEntry e ON e.r_fileset = i.r_fileset"
        " JOIN t_OriginalFile o ON o.id = e.r_originalFile WHERE i.id = ? ORDER BY e.position, e.id LIMIT 1",
        image,
    )
    return work.server.disk.below_root(row[0]["c_path"] + row[0]["c_name"])


#: Rows that stand for an OriginalFile: entity, reference, and what the bytes are counted as.
_FILE_OWNERS = (
    ("FileAnnotation", "file", "FileAnnotation"),
    ("FilesetEntry", "originalFile", "FilesetEntry"),
    ("JobOriginalFileLink", "child", "Job"),
    ("PixelsOriginalFileMap", "parent", "Pixels"),
    ("Roi", "source", "Roi"),
)


@answers(omero.cmd.DiskUsage2, steps=5)
def disk_usage(work: Work, request: Any) -> Any:
    """Count files and bytes of objects and all below them, by owner, group and what they are for; empty files are left out."""
    store = work.server.store
    try:
        targets = targets_of(request)
        for name in request.targetClasses or []:
            entity = find_class(name)
            targets.setdefault(entity.name, []).extend(store.graphs.readable(work.who, entity.name))
        family = store.graphs.descendants(work.who, targets)
    except (StoreError, UnknownEntityError) as error:
        return refused(request, error, planning=True)
    usage = _Usage()
    for item in family.get("Pixels", {}).values():
        usage.add((item.owner, item.group), ["Pixels"], _size(work.server.disk.pixel_buffer(item.id)))
    for item in family.get("Thumbnail", {}).values():
        usage.add((item.owner, item.group), ["Thumbnail"], _size(work.server.disk.thumbnail(item.id)))
    used_by: dict[int, set[str]] = defaultdict(set)
    for name, reference, counted_as in _FILE_OWNERS:
        root = find_class(name).root
        for row in _chunked(store, f"SELECT r_{reference} FROM t_{root} WHERE id IN", family.get(root, {})):
            used_by[row[0]].add(counted_as)
    for row in _chunked(
        store,
        "SELECT id, owner_id, group_id, coalesce(c_size, 0) FROM t_OriginalFile WHERE id IN",
        family.get("OriginalFile", {}),
    ):
        usage.add((row[1], row[2]), sorted(used_by[row[0]]) or ["OriginalFile"], row[3])
    return usage.response()


class _Usage:
    """Files and bytes so far, by owner and group."""

    def __init__(self) -> None:
        self._files: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._bytes: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._all_files: dict[Any, int] = defaultdict(int)
        self._all_bytes: dict[Any, int] = defaultdict(int)

    def add(self, whose: tuple[int | None, int | None], kinds: Iterable[str], size: int) -> None:
        """Count a file once in the totals, and once for each thing that it is for."""
        if size <= 0:
            return
        key = omero.api.LongPair(*whose)
        for kind in kinds:
            self._files[key][kind] += 1
            self._bytes[key][kind] += size
        self._all_files[key] += 1
        self._all_bytes[key] += size

    def response(self) -> Any:
        """Give the sums."""
        plain = [{key: dict(found) for key, found in counted.items()} for counted in (self._files, self._bytes)]
        return omero.cmd.DiskUsage2Response(*plain, dict(self._all_files), dict(self._all_bytes))


def _chunked(store: Any, sql: str, ids: Iterable[int]) -> list[Any]:
    every, found = list(ids), []
    for start in range(0, len(every), 1000):
        part = every[start : start + 1000]
        found += store.rows(f"{sql} ({', '.join('?' * len(part))})", *part)
    return found


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _image(work: Work, image: int) -> Any | None:
    try:
        return work.server.store.get(work.who, "Image", [image])[0]
    except omero.ServerError:
        return None
