# SPDX-License-Identifier: GPL-2.0-or-later
"""What OMERO's importer is started with, as the launcher of a real Java reads it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.importers.official.arguments import Import, Installation, argument_file
from omero_adi_plugin.importers.official.process import run_java
from omero_adi_plugin.importers.protocol import Skip
from omero_adi_plugin.orders import Marker, Target, TargetKind
from tests.fixtures.services import children

KEY = "6f1de9c4-0b1f-4a53-93f4-2f5d6a0d9a11"

ODD = [
    "/a b",
    '/it\'s "so"',
    "/back\\slash\\",
    "/#hash",
    "/new\nline\rreturn\ttab\ffeed",
    "",
    "@/etc/passwd",
    "--disable-@files",
    "/ünï-😀/é",
    "/*",
    "/[1]{2}%p$HOME",
    "/\x01\x0b\x7f",
]


def echo_class() -> bytes:
    """A Java class that prints each of its arguments with a NUL behind it, then a line's end, and stays for a while.

    Made by hand (Java Virtual Machine Specification, part 4), because a host that runs Java need not have its compiler.
    """
    pool: list[bytes] = []

    def utf8(text: str) -> int:
        return entry(b"\x01" + struct.pack(">H", len(text)) + text.encode())

    def entry(content: bytes) -> int:
        pool.append(content)
        return len(pool)

    def named_class(name: str) -> int:
        return entry(b"\x07" + struct.pack(">H", utf8(name)))

    def member(tag: int, owner: int, name: str, kind: str) -> int:
        pair = entry(b"\x0c" + struct.pack(">HH", utf8(name), utf8(kind)))
        return entry(struct.pack(">BHH", tag, owner, pair))

    stream = named_class("java/io/PrintStream")
    out = member(9, named_class("java/lang/System"), "out", "Ljava/io/PrintStream;")
    text = member(10, stream, "print", "(Ljava/lang/String;)V")
    character = member(10, stream, "print", "(C)V")
    line = member(10, stream, "println", "()V")
    sleep = member(10, named_class("java/lang/Thread"), "sleep", "(J)V")
    minute = entry(b"\x05" + struct.pack(">q", 60_000))
    pool.append(b"")  # a long takes two places
    number = struct.Struct(">H").pack
    body = (
        b"\x03\x3c"  # i = 0
        b"\x1b\x2a\xbe\xa2" + number(25)  # at 2: if i >= length go to 30
        + b"\xb2" + number(out) + b"\x2a\x1b\x32\xb6" + number(text)  # print(a[i])
        + b"\xb2" + number(out) + b"\x03\xb6" + number(character)  # print('\0')
        + b"\x84\x01\x01\xa7" + number(65536 - 25)  # i++, back to 2
        + b"\xb2" + number(out) + b"\xb6" + number(line)  # at 30
        + b"\x14" + number(minute) + b"\xb8" + number(sleep) + b"\xb1"
    )  # fmt: skip
    code = struct.pack(">HHI", 3, 2, len(body)) + body + struct.pack(">HH", 0, 0)
    this, parent = named_class("Echo"), named_class("java/lang/Object")
    method = struct.pack(">HHHH", 9, utf8("main"), utf8("([Ljava/lang/String;)V"), 1)
    method += struct.pack(">HI", utf8("Code"), len(code)) + code
    head = struct.pack(">IHHH", 0xCAFEBABE, 0, 49, len(pool) + 1) + b"".join(pool)
    return head + struct.pack(">HHHHHH", 0x21, this, parent, 0, 0, 1) + method + struct.pack(">H", 0)


class Enough(Exception):
    pass


class Looks:
    """Looks, when the program has begun to speak, how it is called."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.commands: list[str] = []
        self.errors: list[str] = []

    def out(self, line: str) -> None:
        self.lines.append(line)
        self.commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children(os.getpid())]

    def err(self, line: str) -> None:
        self.errors.append(line)

    def wait(self) -> None:
        if self.commands:
            raise Enough


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    (tmp_path / "Echo.class").write_bytes(echo_class())
    return tmp_path


def test_java_reads_arguments_as_they_were(echo: Path) -> None:
    with argument_file(["-cp", str(echo), "Echo", *ODD]) as number:
        command = ["java", f"@/proc/self/fd/{number}"]
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(number,), env=environment) as process:
            assert process.stdout is not None
            said = b""
            while not said.endswith(b"\0\n") and (piece := os.read(process.stdout.fileno(), 4096)):
                said += piece
            process.kill()
    assert said.decode().split("\0") == [*ODD, "\n"]


@pytest.mark.parametrize("libraries", [None, "with a libjvm.so"])
def test_nobody_sees_them(libraries: str | None, echo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if libraries:  # Java's launcher starts itself anew, with everything on its command line, if it learns of that
        monkeypatch.setenv("LD_LIBRARY_PATH", f"{echo}:{libjvm().parent}")
    monkeypatch.setenv("LC_ALL", "C")
    looks = Looks()
    with pytest.raises(Enough):
        run_java(["-cp", str(echo), "Echo", "-k", KEY, "/ünï-😀"], listener=looks, patience_seconds=60)
    assert looks.lines == [f"-k\0{KEY}\0/ünï-😀\0"], "whatever the locale of the service"
    assert any("/proc/self/fd/" in command for command in looks.commands), looks.errors
    assert not any(KEY in command for command in looks.commands)


def test_an_argument_file_is_in_no_folder_and_goes_with_its_processes() -> None:
    with argument_file(["-k", KEY]) as number:
        assert Path(f"/proc/self/fd/{number}").read_text() == f'"-k"\n"{KEY}"\n'
        assert os.fstat(number).st_nlink == 0
    assert not Path(f"/proc/self/fd/{number}").exists()


def an_import(**changed: Any) -> Import:
    values: dict[str, Any] = {
        "host": "omero.example.org",
        "port": 4064,
        "key": KEY,
        "target": Target(kind=TargetKind.SCREEN, id=12),
        "marker": Marker(uuid="4f1c", attempt=3, key="*"),
        "paths": ["/data/a.tif", "/data/b.tif"],
        "skip": Skip(checksum=False, minmax=False, thumbnails=False),
        "skip_upgrade": False,
        "parallel_files": 1,
        "parallel_filesets": 1,
        "heap_mb": 64,
    }
    return Import(**(values | changed))


INSTALLATION = Installation(class_path="/opt/a.jar:/opt/b.jar", logback=Path("/opt/etc/logback-cli.xml"))


def test_the_importer_is_called_as_omero_import_calls_it() -> None:
    words = an_import().arguments(INSTALLATION)
    assert words[words.index("-cp") :] == [
        *("-cp", "/opt/a.jar:/opt/b.jar", "ome.formats.importer.cli.CommandLineImporter"),
        *("-s", "omero.example.org", "-p", "4064", "-k", KEY),
        *("-T", "Screen:12", "--transfer=ln_s", "--output=yaml", "-c"),
        *("--annotation-ns=omero-adi/order", "--annotation-text=4f1c 3 *", "/data/a.tif", "/data/b.tif"),
    ]
    before = words[: words.index("-cp")]
    assert {"-Xmx1024M", "-Dlogback.configurationFile=/opt/etc/logback-cli.xml"} <= set(before)
    assert {"-XX:-UsePerfData", "-XX:ErrorFile=/dev/null", "-XX:-CreateCoredumpOnCrash"} <= set(before), (
        "it is kept off all disks"
    )


def test_what_is_skipped_and_done_at_once_is_said_in_the_importers_words() -> None:
    skip = Skip(checksum=True, minmax=True, thumbnails=True)
    words = an_import(skip=skip, skip_upgrade=True, parallel_files=2, parallel_filesets=4, heap_mb=4096).arguments(INSTALLATION)
    assert words[words.index("-c") + 1 : words.index("--annotation-ns=omero-adi/order")] == [
        *("--checksum-algorithm=File-Size-64", "--no-stats-info", "--no-thumbnails", "--no-upgrade-check"),
        *("--parallel-upload=2", "--parallel-fileset=4"),
    ]
    assert "-Xmx4096M" in words


def test_the_key_is_in_no_description_of_a_call() -> None:
    assert KEY not in repr(an_import())


def libjvm() -> Path:
    java = Path(shutil.which("java") or "/").resolve()
    return next(java.parents[1].rglob("libjvm.so"))
