# SPDX-License-Identifier: GPL-2.0-or-later
"""OME-XML: what the metadata in an OME-TIFF says about the files and planes that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator


class MetadataBroken(Exception):
    """The text is no OME-XML; the error's text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeXml:
    """The part of OME-XML (schema 2003-FC to 2016-06) that matters for grouping.

    images, plates: how many it describes.
    others: names of other files that it says belong to it, or that hold the rest of the metadata.
    last_plane: the highest plane of this very file that it names, counted from 0; -1 if it names none.
    """

    images: int
    plates: int
    others: tuple[str, ...]
    last_plane: int

    @classmethod
    def read(cls, text: str, *, name: str) -> OmeXml:
        """Read the comment of an OME-TIFF.

        Parameters
        ----------
        text : str
            The whole document.
        name : str
            Name of the file that it comes from, without folders.

        Raises
        ------
        MetadataBroken
            It cannot be parsed, or numbers in it make no sense.
        """
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise MetadataBroken("its OME-XML holds a document type, which OME-XML never does")
        try:
            root = ET.fromstring(text)  # noqa: S314 (entities, the danger in foreign XML, are refused above)
            uuid = root.get("UUID")
            planes = [
                last
                for data in _all(root, "TiffData")
                if (last := _last_plane(data)) is not None and not any(_other_files(data, uuid, name))
            ]
        except (ET.ParseError, ValueError, RecursionError, LookupError) as error:
            raise MetadataBroken(f"its OME-XML cannot be read ({error})") from error
        others = {other for data in _all(root, "TiffData") for other in _other_files(data, uuid, name)}
        others |= {binary.get("MetadataFile", "another file") for binary in _all(root, "BinaryOnly")}
        return cls(
            images=sum(1 for child in root if _local(child) == "Image"),
            plates=sum(1 for child in root if _local(child) == "Plate"),
            others=tuple(sorted(others)),
            last_plane=max(planes, default=-1),
        )


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _all(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (element for element in root.iter() if _local(element) == name)


def _last_plane(data: ET.Element) -> int | None:
    """Return the last plane that a TiffData names; one without IFD means "as many as there are" (OME-TIFF specification)."""
    if data.get("IFD") is None:
        return None
    return int(data.get("IFD", "0")) + int(data.get("PlaneCount", data.get("NumPlanes", "1"))) - 1


def _other_files(data: ET.Element, own_uuid: str | None, name: str) -> Iterator[str]:
    """Yield the file of a TiffData if it is not this one: told by its UUID first, for files get renamed."""
    for uuid in _all(data, "UUID"):
        file = PurePosixPath((uuid.get("FileName") or "").replace("\\", "/")).name
        same_uuid = own_uuid is not None and (uuid.text or "").strip() == own_uuid.strip()
        if not same_uuid and file != name:
            yield file or (uuid.text or "another file").strip()
