# SPDX-License-Identifier: GPL-2.0-or-later
"""Podman, which runs converters: the demo goes without it, and the tests of converters fail.

So nothing here ends a set-up that otherwise succeeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision import debian
from provision.command import SetUpFailed

if TYPE_CHECKING:
    from pathlib import Path


def is_there() -> bool:
    """Tell whether this machine has it, and what it needs."""
    return not debian.missing_for_containers()


def provide(*, log: Path) -> None:
    """Put it onto this machine, or say what will be missing and how to get it."""
    try:
        debian.provide(debian.missing_for_containers(), log=log)
    except (SetUpFailed, OSError) as error:
        print(f"Podman is not ready; converters cannot run, and their tests will fail.\n{error}", flush=True)
