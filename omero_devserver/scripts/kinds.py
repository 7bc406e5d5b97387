# SPDX-License-Identifier: GPL-2.0-or-later
"""Kinds: which files are scripts, by their name, and how a processor runs them.

Values: beans ScriptFileType in service-scripts.xml of OMERO's server, with the defaults of omero-server.properties.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of files in the folder of official scripts.

    suffix:   what names end with.
    mimetype: by which rows are recognised as scripts.
    launcher: the program that runs it; empty for the processor's own Python.
    process:  class of omero-py that the processor uses; empty for what is no program (lookup tables).
    """

    suffix: str
    mimetype: str
    launcher: str = ""
    process: str = ""


KINDS = (
    Kind(suffix=".py", mimetype="text/x-python", process="omero.processor.ProcessI"),
    Kind(suffix=".jy", mimetype="text/x-jython", launcher="jython", process="omero.processor.ProcessI"),
    Kind(suffix=".m", mimetype="text/x-matlab", launcher="matlab", process="omero.processor.MATLABProcessI"),
    Kind(suffix=".lut", mimetype="text/x-lut"),
)
MIMETYPES = tuple(kind.mimetype for kind in KINDS)
PROGRAMS = tuple(kind.mimetype for kind in KINDS if kind.process)
#: What a script is called whose parameters cannot be found: it is no script any more (ScriptI.validateParams).
DISABLED = "text/plain"


def is_script(variable: str) -> str:
    """Write the HQL condition that a file is a script; `variable` stands for the file in the query."""
    return "(" + " or ".join(f"{variable}.mimetype = '{mimetype}'" for mimetype in MIMETYPES) + ")"


def of_name(name: str) -> Kind | None:
    """Find the kind of a file by its name; None if it is no script."""
    return next((kind for kind in KINDS if name.endswith(kind.suffix)), None)


def of_mimetype(mimetype: str | None) -> Kind | None:
    """Find a kind by its mimetype."""
    return next((kind for kind in KINDS if kind.mimetype == mimetype), None)
