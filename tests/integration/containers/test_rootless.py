# SPDX-License-Identifier: GPL-2.0-or-later
"""Converters under rootless podman, as another account of this machine, which is lent a range of other user ids meanwhile."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shlex
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from omero_adi_plugin.commands.demo.podman import CRAMPED
from tests.fixtures.podman import ALONE, root_archive

PROGRAM = """
import json, os, subprocess, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from omero_adi_plugin.containers.converters import Converters, Task
from omero_adi_plugin.containers.leftovers import remove_containers
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.settings import Settings
folder = Path(sys.argv[1])
found = []
for number, (mode, change) in enumerate([(None, "ENV A=B"), ("keep-id", "ENV A=B"), (None, "USER 33")]):
    image = f"localhost/adi-test/rootless:{number}"
    subprocess.run(
        ["podman", "import", "--quiet", "--change", 'ENTRYPOINT ["/converter"]', "--change", "ENV PATH=/bin", "--change", change,
         str(folder / "root.tar"), image], check=True, stdout=subprocess.DEVNULL)
    settings = Settings(
        ingest_tracking_db="postgresql://u@h/d", converter_temp=folder / "temp", containers={"allow": [image]},
        podman_userns_mode=mode,
    )
    wanted, file = Preprocessing(id=1, container=image), folder / "source" / "scan.lif"
    room = Room.make(file, preprocessing=wanted, settings=settings, order="order", attempt=1, number=number)
    task = Task(order="order", attempt=1, number=number, owner="here:1", path=str(file), room=room, preprocessing=wanted)
    converters = Converters(settings)
    try:
        line = converters.run(task, image=converters.image(image), stop=threading.Event(), heard=lambda: None)
        room.close()
        made = room.temp / "made"
        found.append([line, made.stat().st_uid == os.geteuid(), made.read_text(), room.remove(), remove_containers(settings)])
    finally:
        converters.close()
left = [str(each) for each in (*(folder / "temp").iterdir(), *(folder / "tmp").iterdir())]
print(json.dumps({"found": found, "account": os.geteuid(), "left": left}))
"""

CONVERTER = "#!/bin/sh\nmkdir /out/deep && echo x > /out/deep/x; cat /data/scan.lif > /out/made; echo $(id -u)\n"


@dataclass
class Account:
    """Somebody else. command: that runs a program as them, with podman's settings, before the program."""

    folder: Path
    command: list[str]


LENDABLE = ("games", "news", "backup", "nobody")
"""Accounts of every Debian that nothing runs as."""

RANGES = (Path("/etc/subuid"), Path("/etc/subgid"))
RANGE, FIELDS = 65536, 3
"""So many other ids podman wants for an account, and what a line there has."""


@pytest.fixture
def account() -> Iterator[Account]:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    with _lent() as entry, _at_home(entry) as made:
        yield made


@contextmanager
def _lent() -> Iterator[pwd.struct_passwd]:
    """An account that has a range of other ids meanwhile."""
    entry = next(each for each in pwd.getpwall() if each.pw_name in LENDABLE)
    with ExitStack() as held:
        for file in RANGES:
            file.touch()
            line = _added(file, entry.pw_name)
            held.callback(_taken_out, file, line)
        yield entry


def _added(file: Path, name: str) -> str:
    """Give an account a range that nobody has; return its line."""
    with _locked(file) as opened:
        others = [line.split(":") for line in opened.read().splitlines()]
        line = f"{name}:{max([100_000, *(int(each[1]) + int(each[2]) for each in others if len(each) == FIELDS)])}:{RANGE}\n"
        opened.write(line)
    return line


def _taken_out(file: Path, line: str) -> None:
    with _locked(file) as opened:
        kept = opened.read().replace(line, "", 1)
        opened.seek(0)
        opened.truncate()
        opened.write(kept)


@contextmanager
def _locked(file: Path) -> Iterator[TextIO]:
    """The file, for nobody else of these tests."""
    with file.open("r+") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield opened


@contextmanager
def _at_home(entry: pwd.struct_passwd) -> Iterator[Account]:
    """Folders and settings of an account, which are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="adi-rl-", dir="/tmp", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        for name in ("run", "temp", "source", "home", "tmp"):
            (folder / name).mkdir(mode=0o700)
        (folder / "source" / "scan.lif").write_text("as it came")
        (folder / "conf").write_text(ALONE.format(folder=folder, **CRAMPED))
        storage = f'[storage]\ndriver = "overlay"\nrootless_storage_path = "{folder}/g"\nrunroot = "{folder}/r"\n'
        (folder / "storage").write_text(storage)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": f"{folder}/home",
            "TMPDIR": f"{folder}/tmp",  # noqa: S108 (in a folder of its own)
            "XDG_RUNTIME_DIR": f"{folder}/run",
            "CONTAINERS_CONF": f"{folder}/conf",
            "CONTAINERS_STORAGE_CONF": f"{folder}/storage",
            "PYTHONPATH": sysconfig.get_paths()["purelib"],
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = ["runuser", "-u", entry.pw_name, "--", "env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        for each in (folder, *folder.rglob("*")):
            os.chown(each, entry.pw_uid, entry.pw_gid)
        yield Account(folder, command)
        # its files belong to its other user ids; a process that keeps its namespaces may be left
        subprocess.run([*command, "podman", "system", "migrate"], cwd="/", capture_output=True, check=False)


def test_a_converter_runs_rootless_with_and_without_keep_id(account: Account) -> None:
    _root(account.folder)
    python, packages, project = Path(sys.base_prefix), Path(sysconfig.get_paths()["purelib"]), Path(__file__).parents[3]
    interpreter = str(python / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    program = [interpreter, "-c", PROGRAM, str(account.folder), str(project)]
    done = subprocess.run(
        [*_within_reach(account.folder, [python, packages, project]), *account.command, *program],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # as whom it ran, whether what it made is the account's, what it could read of a folder that is private, and what is left
    assert told["found"] == [
        ["0", True, "as it came", True, 0],  # root of the container is the account
        [str(told["account"]), True, "as it came", True, 0],
        ["33", True, "", True, 0],
    ]
    assert told["left"] == []


def _within_reach(folder: Path, places: Sequence[Path]) -> list[str]:
    """What to put before a command, so that others come to places, at their paths, that lie where only root may go, as in /root.

    For that command alone: what is closed to others is hidden behind an empty folder, in which there is nothing but these.
    """
    closed = {each for place in places for each in place.parents if not each.stat().st_mode & stat.S_IXOTH}
    tops = [each for each in closed if closed.isdisjoint(each.parents)]
    hidden = [str(place) for place in places if not closed.isdisjoint(place.parents)]
    if not hidden:
        return []
    steps = [["mount", "--make-rshared", "/"]]  # as podman wants it, and as it is on hosts with systemd
    for number, place in enumerate(hidden):
        steps += [["mkdir", f"{folder}/{number}"], ["mount", "--bind", place, f"{folder}/{number}"]]
    steps += [["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(top)] for top in tops]
    for number, place in enumerate(hidden):
        steps += [["mkdir", "-p", place], ["mount", "--bind", f"{folder}/{number}", place]]
    script = "; ".join([*map(shlex.join, steps), 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-ec", script, "sh"]


def _root(folder: Path) -> None:
    (folder / "root.tar").write_bytes(root_archive({"converter": CONVERTER}))
    (folder / "root.tar").chmod(0o644)
