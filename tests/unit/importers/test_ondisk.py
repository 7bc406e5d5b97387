# SPDX-License-Identifier: GPL-2.0-or-later
"""How files of the managed repository are found, on a disk."""

from __future__ import annotations

from pathlib import Path

from omero_adi_plugin.importers.ondisk import Condition, KeptFile, look_at


def kept(location: Path, size: int | None = 3) -> KeptFile:
    return KeptFile(location=location, source="/data/a.tif", bytes=size)


def linked(link: Path, to: Path) -> KeptFile:
    link.symlink_to(to)
    return kept(link)


def test_each_condition_is_told_apart(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    loop, plain, folder = tmp_path / "loop", tmp_path / "plain", tmp_path / "folder"
    plain.write_bytes(b"abc")
    folder.mkdir()
    longer = tmp_path / "longer"
    longer.write_bytes(b"abcd")
    files = {
        Condition.AS_RECORDED: [
            linked(tmp_path / "good", source),
            kept(folder, 0),
            linked(tmp_path / "through", tmp_path / "good"),
        ],
        Condition.MISSING: [kept(tmp_path / "missing"), kept(source / "below a file")],
        Condition.DANGLING: [linked(tmp_path / "dangling", tmp_path / "gone")],
        Condition.OTHER_SIZE: [linked(tmp_path / "long", longer), kept(longer), linked(tmp_path / "to folder", folder)],
        Condition.NO_LINK: [kept(plain)],
        Condition.UNREADABLE: [linked(loop, loop), kept(tmp_path / ("x" * 300))],
    }
    given = [file for some in files.values() for file in some]
    found = look_at(given)
    assert [look.file for look in found] == given
    assert [look.condition for look in found] == [condition for condition, some in files.items() for _ in some]
    assert all(look.why for look in found if look.condition is Condition.UNREADABLE)


def test_a_size_that_omero_does_not_know_is_not_compared(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abcd")
    (tmp_path / "link").symlink_to(source)
    [look] = look_at([kept(tmp_path / "link", None)])
    assert (look.condition, look.bytes, look.leads_to) == (Condition.AS_RECORDED, 4, str(source))
    assert look_at([]) == []
