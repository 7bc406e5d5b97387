# SPDX-License-Identifier: GPL-2.0-or-later
"""Launch: becomes another program that ends with the process that started it, however that ends.

A program of its own: `python -I -S launch.py PARENT PROGRAM ARGUMENT…`, PARENT being the id of the process that starts it.
Between fork and exec Python code must not run in a process that has threads, and ours has those of Ice.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h; stays in force over exec (prctl(2))


def main() -> None:
    """Do it."""
    parent, *program = sys.argv[1:]
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != int(parent):
        sys.exit(os.EX_TEMPFAIL)  # it has died before
    try:
        os.execvp(program[0], program)  # noqa: S606 (this is what it is for)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
