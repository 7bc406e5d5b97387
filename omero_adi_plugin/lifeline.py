# SPDX-License-Identifier: GPL-2.0-or-later
"""Lifeline: a process that dies with the one that started it, however that ends, so that nothing half-alive is left.

Also a program of its own, which becomes another one: `python -I -S lifeline.py PARENT PROGRAM ARGUMENT…`, PARENT being the id of
the process that starts it. Between fork and exec Python code must not run in a process that has threads, and ours has those of
Ice. It needs the standard library only, and nothing else of this package.
"""

import ctypes
import os
import signal
import sys

PROGRAM = os.path.realpath(__file__)  # pathlib would take longer to load than all of this
"""This program's path."""

PR_SET_PDEATHSIG = 1  # linux/prctl.h; stays in force over exec (prctl(2))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; end at once if it has died already.

    Source: prctl(2). The kernel does so at the end of the thread that has started this process, which has to live as long. The
    parent may have died before the call: then its id is not ours any more.

    Parameters
    ----------
    parent : int
        Process id of the parent.

    Raises
    ------
    OSError
        The kernel does not do it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(os.EX_TEMPFAIL)


def tied(parent: int, *program: str) -> list[str]:
    """Return the command that runs a program which dies with `parent`."""
    return [sys.executable, "-I", "-S", PROGRAM, str(parent), *program]


def main() -> None:
    """Be the program."""
    parent, *program = sys.argv[1:]
    die_with(int(parent))
    try:
        os.execvp(program[0], program)  # noqa: S606 (this is what it is for)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
