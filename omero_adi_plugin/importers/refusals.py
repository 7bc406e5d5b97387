# SPDX-License-Identifier: GPL-2.0-or-later
"""Refusals: what it means that OMERO.server could not import a fileset.

The server answers with a name, which says how far it came, and with Java's stack trace, which names the classes of what went
wrong. Those decide, and what the disk says, which is surer; the text only where classes say nothing.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import FileBroken, FileGrowing, FileMissing, FormatUnknown, ImportRefused
from omero_adi_plugin.importers.handles import refusal

if TYPE_CHECKING:
    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.plans import FilesetPlan

_CLASSES = re.compile(r"^(?:Caused by: )?(?:java|loci|ome)(?:\.\w+)*\.(\w+(?:Exception|Error))\b", re.MULTILINE)
"""Names of the exceptions that a stack trace of Java tells of."""

_NO_READER = frozenset({"import-unknown-format", "UnknownFormatException"})
_NO_LIBRARY = frozenset({"import-missing-library", "MissingLibraryException", "DependencyException"})
_ENDS_EARLY = frozenset({"import-file-exception", "EOFException"})
_NOT_OPENED = frozenset({"FileNotFoundException", "NoSuchFileException", "AccessDeniedException"})
_SERVERS_OWN = frozenset({"OutOfMemoryError", "StackOverflowError"})
"""Names of the server's errors (OMERO's ManagedImportRequestI; only error-on-init was recorded) and of Java's exceptions."""

_ON_INIT = frozenset({"error-on-init"})
"""The server's name for all that goes wrong when it opens the files (real server, recorded)."""

_MEMBER_MISSING = "Missing file "
"""How Bio-Formats says that an OME-TIFF names a file that is not there (real server, recorded); the class is a general one."""


def changed_source(plan: FilesetPlan) -> AdiError | None:
    """Return what has become of the sources since they were looked at, None if nothing."""
    for file in plan.files:
        try:
            status = os.stat(file.source)  # noqa: PTH116 (the same; Path would only cost time)
        except FileNotFoundError:
            return FileMissing(path=file.path)
        except OSError:
            continue
        if (status.st_size, status.st_mtime_ns) != (file.bytes, file.mtime_ns):
            return FileGrowing(path=file.path)
    return None


def fault_of_files(response: Any, plan: FilesetPlan) -> AdiError | None:  # noqa: ANN401 (omero.cmd.ERR is untyped)
    """Return the error that speaks of the fileset's files, None if it was not they that stopped the import.

    Parameters
    ----------
    response : omero.cmd.ERR
        The server's answer.
    """
    changed = changed_source(plan)
    if changed is not None:
        return changed
    causes = {response.name, *_CLASSES.findall(response.parameters.get("stacktrace") or "")}
    if causes & _SERVERS_OWN:
        return None
    path, words = plan.files[0].path, refusal(response)
    if (response.parameters.get("message") or "").startswith(_MEMBER_MISSING):
        return FileBroken(path=path, why=f"a file of the set is missing ({words})")
    meanings: tuple[tuple[frozenset[str], AdiError], ...] = (
        (_NO_READER, FormatUnknown(path=path, why=f"OMERO.server has no reader for this format ({words})")),
        (_NO_LIBRARY, ImportRefused(path=path, words=f"OMERO.server lacks a library that this format needs ({words})")),
        (_ENDS_EARLY, FileBroken(path=path, why=words)),
        (_NOT_OPENED, ImportRefused(path=path, words=f"OMERO.server cannot open a file that is there on this host ({words})")),
        (_ON_INIT, ImportRefused(path=path, words=words)),
    )
    return next((meaning for names, meaning in meanings if causes & names), None)
