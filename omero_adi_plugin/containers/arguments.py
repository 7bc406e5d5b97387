# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments: what a converter is called with (contract, part 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.preprocessing import FILES, PROCESSED_IN_CONTAINER

if TYPE_CHECKING:
    from omero_adi_plugin.preprocessing import Preprocessing


def arguments(preprocessing: Preprocessing, *, basename: str) -> tuple[str, ...]:
    """Return the arguments of a converter, in the order that converters rely on.

    Each value stays one argument, whatever is in it: no shell ever sees it.

    Parameters
    ----------
    preprocessing : Preprocessing
        What the order asks for.
    basename : str
        Name of the file to convert, which stands for `{Files}` in every value.
    """
    file = f"{preprocessing.output_folder}/{basename}"
    words = ["--inputfile", preprocessing.input_file.replace(FILES, file)]
    for name, value in preprocessing.parameters:
        words += [f"--{name}", value.replace(FILES, file)]
    words += ["--outputfolder", f"{preprocessing.output_folder}/{PROCESSED_IN_CONTAINER}"]
    if preprocessing.alt_output_folder is not None:
        words += ["--altoutputfolder", preprocessing.alt_output_folder]
    return tuple(words)
