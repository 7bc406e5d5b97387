# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiler run of Ice for Python: from the unpacked source release of zeroc-ice 3.6.5 to a wheel.

    python tools/ice/compile.py SOURCE WHEELS PROGRESS

Runs in an environment of its own that has setuptools. It adds two things to a plain build:
the headers in `shim/`, without which the sources do not compile on Python 3.11 and later, and all cores.
"""

from __future__ import annotations

import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import setuptools.build_meta  # brings its own distutils, which left the standard library in 3.12

# isort: split
from distutils.ccompiler import CCompiler

SHIM = Path(__file__).resolve().parent / "shim"
# -O1 and no debug information: half the time of -O2, and a wheel of 3 MB instead of 34.
FLAGS = "-DNDEBUG -O1 -g0 -fwrapv"


def compile_side_by_side(progress: Path) -> None:
    """Make distutils compile the sources of one extension on all cores.

    Its own `--parallel` only spreads over extensions, and Ice is a single one of some 220 sources.

    Parameters
    ----------
    progress : Path
        After each source this file holds ``done/total``.
    """
    cores = len(os.sched_getaffinity(0))

    def compile_sources(  # the signature of CCompiler.compile
        self: Any,  # noqa: ANN401  distutils has no types
        sources: list[str],
        output_dir: str | None = None,
        macros: Any = None,  # noqa: ANN401
        include_dirs: list[str] | None = None,
        debug: bool = False,  # noqa: FBT001, FBT002
        extra_preargs: list[str] | None = None,
        extra_postargs: list[str] | None = None,
        depends: list[str] | None = None,
    ) -> list[str]:
        macros, objects, extra_postargs, preprocessor, build = self._setup_compile(
            output_dir, macros, include_dirs, sources, depends, extra_postargs
        )
        arguments = self._get_cc_args(preprocessor, debug, extra_preargs)

        def compile_one(target: str) -> None:
            source, suffix = build[target]
            self._compile(target, source, suffix, arguments, extra_postargs, preprocessor)

        with ThreadPoolExecutor(cores) as pool:
            for done, _ in enumerate(pool.map(compile_one, objects), start=1):
                progress.write_text(f"{done}/{len(objects)}", encoding="ascii")
        return list(objects)

    CCompiler.compile = compile_sources


def main(source: Path, wheels: Path, progress: Path) -> None:
    """Build the wheel of the sources in `source` into the folder `wheels`."""
    os.environ.update(
        CFLAGS=FLAGS,
        CXXFLAGS=FLAGS,
        CPPFLAGS="-I" + shlex.quote(str(SHIM)),  # not CFLAGS: distutils does not give those to C++ sources
    )
    compile_side_by_side(progress)
    os.chdir(source)
    setuptools.build_meta.build_wheel(str(wheels))


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:]))
