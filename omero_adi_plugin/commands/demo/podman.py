# SPDX-License-Identifier: GPL-2.0-or-later
"""Podman: one of the demo's own, with its images and containers below the demo's folder, and a converter made on the spot.

No registry is asked, and nothing of the machine's own images and containers is touched. The demo goes on without it.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.commands.demo.processes import clean_environment
from omero_adi_plugin.containers.folders import clear
from omero_adi_plugin.containers.service import listens
from omero_adi_plugin.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.commands.demo.folder import Folder
    from omero_adi_plugin.commands.demo.processes import Processes

IMAGE = "localhost/omero-adi-demo/unpack:1"

CONVERTER = """\
#!/bin/sh
# Unpacks an archive, and says on its last line which images were in it.
set -e
while [ $# -gt 0 ]; do
    case $1 in
        --inputfile) archive=$2 ;;
        --altoutputfolder) out=$2 ;;
    esac
    shift 2
done
echo "unpacking $archive" >&2
tar -xf "$archive" -C "$out"
cd "$out"
items=
for file in *.ome.tif; do
    keyvalues="{\\"Archive\\": \\"${archive##*/}\\"}"
    items="$items{\\"name\\": \\"${file%.ome.tif}\\", \\"alt_path\\": \\"$out/$file\\", \\"keyvalues\\": $keyvalues},"
done
echo "[${items%,}]"
"""

ALONE = """\
[containers]
{limits}
[engine]
events_logger = "file"
lock_type = "file"
{engine}
"""
"""Settings of a podman that shares nothing with the machine's own, not even its locks in memory."""

PLAIN = {"limits": "", "engine": ""}
CRAMPED = {
    "limits": 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\nnetns = "none"',
    "engine": 'runtime = "runc"\ncgroup_manager = "cgroupfs"',
}
"""What a virtual machine or a container needs besides that has no systemd, and may not raise its own limits."""

STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{folder}/images"
runroot = "{short}/mounts"
"""

DRIVER = "--storage-driver=vfs"
"""Copies of a few megabytes, and nothing to be unmounted at the end."""

SHORT = "/tmp"  # noqa: S108 (the folder in it is made by mkdtemp)
SHORT_PREFIX = "adi-demo-"
"""Where sockets are, the paths of which the kernel allows 107 bytes (unix(7)): with a longer one podman 4.3 takes 20 s for each
container, seen. The demo's folder has a link to it."""

TRIAL = ("--network=none", "--memory=64m", "--pids-limit=64", "--cpus=1", "--cap-drop=all")
"""Limits as converters have them."""

CALL_SECONDS = 60
START_SECONDS = 30
LAST_SECONDS = 30
LOOK_SECONDS = 0.02

LONGEST_WORDS = 200


class CannotRun(Exception):
    """Podman cannot run here; the text is a clause that says why."""


@dataclass(frozen=True, slots=True)
class Podman:
    """The demo's podman."""

    _folder: Folder

    @property
    def path(self) -> Path:
        """Where its images, containers and settings are."""
        return self._folder.path / "podman"

    @property
    def socket(self) -> Path:
        """Where its service listens."""
        return self.short.readlink() / "s"

    @property
    def short(self) -> Path:
        """A link to the folder with the short path."""
        return self.path / "short"

    @property
    def command(self) -> list[str]:
        """The command line, with all folders: without root podman uses those of the account, whatever its settings say."""
        folders = (f"--root={self.path}/images", f"--runroot={self.short.readlink()}/mounts", f"--tmpdir={self.path}/run")
        return ["podman", *folders, DRIVER]

    @property
    def environment(self) -> dict[str, str]:
        """By what podman finds its settings."""
        kept = {name: value for name, value in clean_environment().items() if not name.startswith(("CONTAINER_", "CONTAINERS_"))}
        return kept | {
            "CONTAINERS_CONF": str(self.path / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.path / "storage.conf"),
        }

    def __call__(self, *arguments: str, given: bytes = b"") -> None:
        """Run podman's command line; raises CannotRun."""
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                env=self.environment,
                input=given,
                capture_output=True,
                timeout=CALL_SECONDS,
                check=False,
            )
        except OSError as error:
            raise CannotRun(f"podman cannot be started ({error.strerror})") from error
        except subprocess.TimeoutExpired as error:
            raise CannotRun(f"podman does not answer within {CALL_SECONDS} seconds") from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
            raise CannotRun(f"podman says {quoted(said, length=LONGEST_WORDS)}")


def start_podman(folder: Folder, processes: Processes) -> Podman:
    """Make the converter, see that it can run, and have podman listen for the service.

    Raises
    ------
    CannotRun
        It cannot.
    """
    podman, busybox = Podman(folder), shutil.which("busybox")
    if shutil.which("podman") is None:
        raise CannotRun("podman is not installed")
    if busybox is None:
        raise CannotRun("there is no busybox to make a converter of (Debian, Ubuntu: apt-get install busybox-static)")
    podman.path.mkdir(mode=0o700)
    podman.short.symlink_to(tempfile.mkdtemp(prefix=SHORT_PREFIX, dir=SHORT))
    (podman.path / "storage.conf").write_text(STORAGE.format(folder=podman.path, short=podman.short.readlink()), encoding="utf-8")
    _make_it_run(podman, Path(busybox))
    _listen(podman, processes)
    return podman


def remove_podman(folder: Folder) -> None:
    """End what still runs in the demo's podman, and remove all that it holds."""
    podman = Podman(folder)
    if not podman.path.exists():
        return
    short = podman.short.readlink() if podman.short.is_symlink() else None
    if short is not None and (podman.path / "containers.conf").exists():
        with suppress(CannotRun):
            podman("rm", "--all", "--force", "--time", "0")
            if os.geteuid() != 0:
                podman("system", "migrate")  # ends the process that holds the user namespace of one without root
    if short is not None and short.name.startswith(SHORT_PREFIX):
        _wait_for_the_last(str(short))
        clear(short)
    clear(podman.path)


def _wait_for_the_last(short: str) -> None:
    """Wait for what ends by itself after a container was removed: it would make these folders again (podman's "cleanup")."""
    deadline = time.monotonic() + LAST_SECONDS
    while time.monotonic() < deadline and any(short in command for command in _commands()):
        time.sleep(LOOK_SECONDS)


def _commands() -> Iterator[str]:
    """Yield the command lines of all processes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield path.read_bytes().decode("utf-8", "backslashreplace")


def _make_it_run(podman: Podman, busybox: Path) -> None:
    """Find settings with which the converter runs here; raises CannotRun."""
    image = _image(busybox)
    for own in (PLAIN, CRAMPED):
        settings = ALONE.format(**own)
        (podman.path / "containers.conf").write_text(settings, encoding="utf-8")
        try:
            podman(
                "import", "--quiet", "--change", 'ENTRYPOINT ["/converter"]', "--change", "ENV PATH=/bin", "-", IMAGE, given=image
            )
            podman("run", "--rm", *TRIAL, "--entrypoint", "/bin/true", IMAGE)
        except CannotRun:
            if own is CRAMPED:
                raise
        else:
            return


def _image(busybox: Path) -> bytes:
    """Return a root file system with busybox, under the names that the converter calls it by, and the converter."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in (("bin/busybox", busybox.read_bytes()), ("converter", CONVERTER.encode())):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
        for name in ("sh", "tar", "true"):
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return made.getvalue()


def _listen(podman: Podman, processes: Processes) -> None:
    """Start its service; raises CannotRun."""
    command = [*podman.command, "system", "service", "--time=0", f"unix://{podman.socket}"]
    log = processes.start("podman", command, environment=podman.environment)
    deadline = time.monotonic() + START_SECONDS
    while not listens(podman.socket):
        if not processes.runs("podman") or time.monotonic() > deadline:
            raise CannotRun(f"podman's service does not listen (see '{log}')")
        time.sleep(LOOK_SECONDS)
