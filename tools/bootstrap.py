# SPDX-License-Identifier: GPL-2.0-or-later
"""Set-up of a clone: `.venv`, with this package and everything that `make demo` and `make test` need.

    python3 tools/bootstrap.py

Needs nothing but a Python. The work is in the package `provision`; this file finds the interpreter for it, and therefore
keeps to what Python 3.7 understands: on an old system it has to say so, or hand over to a newer Python beside the old.
"""

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

OLDEST = (3, 11)
NEWEST = (3, 13)


def fits(version: "Sequence[int]") -> bool:
    """Tell whether a Python of that version (two numbers) can run this package (setup.cfg, python_requires)."""
    return OLDEST <= tuple(version) <= NEWEST


def newest_that_fits() -> "str | None":
    """Find the newest python3.N on PATH that fits and starts; pyenv has such names even for Pythons that are not there."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.call([path, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            return path
    return None


def main() -> int:
    """Set up the clone that this file is in; gives the exit status."""
    if not fits(sys.version_info[:2]):
        other = newest_that_fits()
        if other is None:
            sys.stderr.write(
                f"This is Python {sys.version_info[0]}.{sys.version_info[1]}, and OMERO ADI needs Python 3.11, 3.12 or 3.13; "
                "none of them is on PATH.\n"
                "Install one (Debian 12 and Ubuntu 24.04 have one as python3), or name it: make demo PYTHON=/path/to/python3.12\n"
            )
            return 1
        sys.stderr.flush()
        os.execv(other, [other, __file__])  # noqa: S606  the same program, on another Python
    from provision.environment import main as set_up  # noqa: PLC0415  needs a Python that fits

    return set_up()


if __name__ == "__main__":
    sys.exit(main())
