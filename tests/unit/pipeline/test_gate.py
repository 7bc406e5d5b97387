# SPDX-License-Identifier: GPL-2.0-or-later
"""What kind of file may be imported: an ordinary one, readable by us and by the server, whole, with a name that can be kept."""

import errno
import os
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import (
    ConfigurationError,
    FileBroken,
    FileMissing,
    FormatUnknown,
    ImportInterrupted,
    NameImpossible,
    SourceUnreadable,
)
from omero_adi_plugin.pipeline.access import READ, ServerAccount
from tests.fixtures.gates import gate_of, open_folder
from tests.fixtures.rights import not_root

SERVER = ServerAccount(name="omero-server", uid=12345, gids=frozenset({12345, 23456}))


@pytest.fixture
def base() -> Iterator[Path]:
    with open_folder() as base:
        (base / "good.dat").write_bytes(b"pixels")
        yield base


def test_what_is_known_of_a_good_file(base: Path) -> None:
    path = base / "good.dat"
    os.utime(path, ns=(1_234_567_890, 1_234_567_891))
    admitted = gate_of(base).admit(str(path))
    assert (admitted.path, admitted.source, admitted.bytes, admitted.mtime_ns) == (str(path), str(path), 6, 1_234_567_891)


def never(*_: object) -> None:
    raise AssertionError("it was opened")


def test_what_is_no_ordinary_file_is_refused_without_waiting_for_it(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(base / "pipe.tif")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(base)  # the path of a socket has at most 107 bytes
        listening.bind("socket.tif")
    for folder, name in ((base, "pipe.tif"), (base, "socket.tif"), (Path("/dev"), "null")):
        gate = gate_of(folder)
        with monkeypatch.context() as patched:
            patched.setattr("omero_adi_plugin.pipeline.gate.os.open", never)  # whoever waits at the pipe would notice it
            with pytest.raises(FormatUnknown, match="no ordinary file"):
                gate.admit(f"{folder}/{name}")
    with pytest.raises(FormatUnknown, match="it is a folder"):
        gate_of(base).admit(str(base))
    with pytest.raises(FormatUnknown, match="it is no folder"):
        gate_of(base).admit_folder(f"{base}/good.dat")


def test_an_empty_file_is_broken_but_for_those_that_may_be_empty(base: Path) -> None:
    for name in ("empty.tif", "empty.nd2", "test&series=3.fake", "notes.TXT"):
        (base / name).touch()
    gate = gate_of(base)
    for name in ("empty.tif", "empty.nd2"):
        with pytest.raises(FileBroken, match="it is empty"):
            gate.admit(f"{base}/{name}")
    assert gate.admit(f"{base}/test&series=3.fake").bytes == 0
    assert gate.admit(f"{base}/notes.TXT").bytes == 0


def test_a_tiff_without_its_end_is_broken_under_any_name(base: Path) -> None:
    whole = base / "stack.tif"
    tifffile.imwrite(whole, np.zeros((8, 128, 128), "u2"), photometric="minisblack")
    gate_of(base).admit(str(whole))
    for name in ("short.tif", "short.dat"):
        (base / name).write_bytes(whole.read_bytes()[:-1000])
        with pytest.raises(FileBroken, match="it ends before"):
            gate_of(base).admit(f"{base}/{name}")


# --- who may read it


def test_what_we_may_not_read_is_named_with_our_account(base: Path) -> None:
    (base / "closed").mkdir()
    for path in (base / "secret.dat", base / "closed" / "good.dat"):
        path.write_bytes(b"x")
    (base / "secret.dat").chmod(0)
    (base / "closed").chmod(0)
    try:
        with not_root():
            gate = gate_of(base)
            for path in (base / "secret.dat", base / "closed" / "good.dat"):
                with pytest.raises(SourceUnreadable, match="Give that account read access"):
                    gate.admit(str(path))
            with pytest.raises(SourceUnreadable):
                gate.admit_folder(str(base / "closed"))
    finally:
        (base / "closed").chmod(0o755)


def test_a_folder_that_may_be_listed_but_not_entered_is_unreadable(base: Path) -> None:
    (base / "listed").mkdir()
    (base / "listed").chmod(0o444)
    try:
        with not_root(), pytest.raises(SourceUnreadable):
            gate_of(base).admit_folder(str(base / "listed"))
    finally:
        (base / "listed").chmod(0o755)


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "readable"),
    [
        (12345, 0, 0o400, True),
        (12345, 23456, 0o077, False),  # the owner's class counts alone, as the kernel has it
        (0, 23456, 0o040, True),
        (0, 12345, 0o640, True),
        (0, 23456, 0o704, False),
        (0, 0, 0o604, True),
        (0, 0, 0o640, False),
        (0, 0, 0o600, False),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_account_of_the_server_reads_by_owner_group_and_mode(
    base: Path, uid: int, gid: int, mode: int, *, readable: bool
) -> None:
    path = base / "good.dat"
    os.chown(path, uid, gid)
    path.chmod(mode)
    gate = gate_of(base, account=SERVER)
    if readable:
        assert gate.admit(str(path)).bytes == 6
    else:
        with pytest.raises(SourceUnreadable, match="cannot be read by 'omero-server'"):
            gate.admit(str(path))


def test_it_also_has_to_get_through_each_folder_above(base: Path) -> None:
    deep = base / "a" / "b"
    deep.mkdir(parents=True)
    for name in ("one.dat", "two.dat"):
        (deep / name).write_bytes(b"x")
    gate_of(base, account=SERVER).admit(f"{deep}/one.dat")
    gate_of(base, account=SERVER).admit_folder(str(deep))
    (base / "a").chmod(0o750)
    gate = gate_of(base, account=SERVER)
    for path in (deep / "one.dat", deep / "two.dat"):
        with pytest.raises(SourceUnreadable, match="omero-server"):
            gate.admit(str(path))
    with pytest.raises(SourceUnreadable, match="omero-server"):
        gate.admit_folder(str(deep))
    (base / "a").chmod(0o711)  # by name, without listing
    gate_of(base, account=SERVER).admit(f"{deep}/one.dat")


def test_a_file_with_an_access_list_is_left_to_the_server(base: Path) -> None:
    path = base / "good.dat"
    path.chmod(0o600)
    # acl(5) as the kernel keeps it: version 2; owner rw, user 12345 r, group none, mask r, others none
    entries = ((0x01, 6, 0xFFFFFFFF), (0x02, 4, 12345), (0x04, 0, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    packed = b"".join(
        tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, perm, who in entries
    )
    with pytest.raises(SourceUnreadable):
        gate_of(base, account=SERVER).admit(str(path))
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.EPERM}:
            pytest.skip(f"no access lists here: {error}")
        raise
    assert gate_of(base, account=SERVER).admit(str(path)).bytes == 6


def test_root_reads_everything_and_an_unknown_groups_member_whatever_a_group_may(base: Path) -> None:
    path = base / "good.dat"
    path.chmod(0o640)
    gate_of(base, account=ServerAccount.named("root")).admit(str(path))
    path.chmod(0)
    assert ServerAccount.named("root").may(READ, path.stat())
    path.chmod(0o640)
    gate_of(base, account=ServerAccount(name="uid 12345", uid=12345, gids=None)).admit(str(path))
    path.chmod(0o600)
    with pytest.raises(SourceUnreadable, match="uid 12345"):
        gate_of(base, account=ServerAccount(name="uid 12345", uid=12345, gids=None)).admit(str(path))


def test_the_account_comes_from_the_settings_or_from_the_owner_of_a_folder(base: Path) -> None:
    assert ServerAccount.named("root").uid == 0
    with pytest.raises(ConfigurationError, match="no account 'nobody-of-this-name'"):
        ServerAccount.named("nobody-of-this-name")
    owner = ServerAccount.owner_of(base)
    assert owner is not None
    assert owner.uid == os.geteuid()
    assert owner.gids is not None
    assert os.getegid() in owner.gids
    assert ServerAccount.owner_of(base / "none") is None
    if os.geteuid() == 0:
        os.chown(base, 54321, 54321)
        assert ServerAccount.owner_of(base) == ServerAccount(name="uid 54321", uid=54321, gids=None)


# --- names

GOOD_NAMES = {
    "spaces": "  my  image .dat",
    "quotes": 'it\'s "quoted" `so`.dat',
    "composed": "M\u00fcller.dat",
    "decomposed": "Mu\u0308ller.dat",
    "percent": "100%25 %s {}.dat",
    "colon": "C:\\data\\x:y.dat",
    "newline": "two\nlines.dat",
    "control": "bell\x07 tab\t.dat",
    "emoji": "\U0001f52c.dat",
    "brackets": "a<1-3>[b](c)#d?e*f|g&h;i$j.dat",
    "longest": "x" * 251 + ".dat",
    "longest in bytes": "\u00fc" * 125 + "x.dat",
    "dots": "...dat",
    "dash": "-rf.dat",
}


@pytest.mark.parametrize("name", GOOD_NAMES.values(), ids=GOOD_NAMES)
def test_names_that_are_unusual_and_fine(base: Path, name: str) -> None:
    (base / name).write_bytes(b"x")
    admitted = gate_of(base).admit(f"{base}/{name}")
    assert admitted.path == admitted.source == f"{base}/{name}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (os.fsdecode(b"caf\xe9.dat"), "no valid UTF-8"),
        ("half \ud83d of a pair.dat", "no valid UTF-8"),
        ("x" * 256, "a name of 256 bytes is longer than the 255"),
        ("\u00fc" * 128, "a name of 256 bytes"),
        ("con." + "x" * 251, "a name of 255 bytes is longer than the 254"),
        ("nul\0.dat", "NUL"),
        ("/".join(["folder"] * 400), "the whole path has"),
    ],
)
def test_names_that_nobody_can_keep_are_refused_by_name(base: Path, name: str, why: str) -> None:
    path = f"{base}/{name}"
    if name.startswith("caf"):  # the others cannot even be made
        Path(path).write_bytes(b"x")
    gate = gate_of(base)
    for ask in (gate.admit, gate.admit_folder, gate.locate):
        with pytest.raises(NameImpossible, match="cannot be imported under its name") as refused:
            ask(path)
        assert why in str(refused.value)
        str(refused.value).encode()  # can be written down


# --- file systems that are away


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN])
def test_a_file_system_that_is_away_says_nothing_against_the_file(
    base: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    gate = gate_of(base)
    monkeypatch.setattr("omero_adi_plugin.pipeline.gate.os.open", refuse)  # no such mount can be made in a test
    for ask, path in ((gate.admit, f"{base}/good.dat"), (gate.admit_folder, str(base))):
        with pytest.raises(ImportInterrupted, match="does not answer"):
            ask(path)


def test_a_process_that_may_open_no_more_files_says_nothing_against_them(base: Path) -> None:
    gate = gate_of(base)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))
        for ask, path in ((gate.admit, f"{base}/good.dat"), (gate.admit_folder, str(base))):
            with pytest.raises(ImportInterrupted, match="Too many open files"):
                ask(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)


def test_a_file_that_vanishes_while_it_is_looked_at_is_missing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def vanish(path: str, flags: int) -> int:
        Path(path).unlink()
        return real(path, flags)

    (base / "other.dat").write_bytes(b"x")
    monkeypatch.setattr("omero_adi_plugin.pipeline.gate.os.open", vanish)
    with pytest.raises(FileMissing):
        gate_of(base).admit(f"{base}/good.dat")
