# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures: how an import that fails is answered: which name and which message of an ERR belong to which cause.

Before step 0 all is `error-on-init` (recorded: facts 1). In a step the names are those of OMERO's `ManagedImportRequestI.step`;
what a call of the server's own raised is told by its class only.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import omero

from omero_devserver.cmd.responses import failure
from omero_devserver.formats.values import Unreadable
from omero_devserver.repository.graph import UnusableTarget
from omero_devserver.repository.targets import UnusableAnnotation

if TYPE_CHECKING:
    from omero_devserver.repository.journal import ImportLog

log = logging.getLogger(__name__)

_NO_ROW = "omero.ValidationException"  # what a real server's client library raises for a row that is not there


class FilesetGone(Exception):
    """The fileset, with its log, was deleted while it was imported."""


def of_init(request: Any, error: Exception, journal: ImportLog) -> Any:
    """Answer what was raised before the first step."""
    if not isinstance(error, Unreadable | UnusableAnnotation | OSError | omero.ServerError):
        log.error("fault before an import's first step", exc_info=error)
    return _answer(request, "error-on-init", _message(error), error, journal)


def of_step(request: Any, error: Exception, journal: ImportLog, *, file: str) -> Any:
    """Answer what was raised in a step; `file` is the one that was read."""
    if isinstance(error, FilesetGone):
        return _answer(request, "update-log-file-size", _NO_ROW, error, journal)
    if isinstance(error, OSError | Unreadable):
        answer = _answer(request, "import-file-exception", _message(error), error, journal)
        answer.parameters["filename"] = file
        return answer
    if not isinstance(error, omero.ServerError | UnusableTarget):
        log.error("fault in a step of an import", exc_info=error)
    return _answer(request, "import-request-failure", _message(error), error, journal)


def _message(error: Exception) -> str:
    if isinstance(error, omero.ServerError):
        return f"omero.{type(error).__name__}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} ({error.strerror})"
    return str(error)


def _answer(request: Any, name: str, message: str, error: Exception, journal: ImportLog) -> Any:
    trace = "".join(traceback.format_exception(error))
    cause = "java.lang.RuntimeException: " if isinstance(error, omero.ServerError) else ""
    journal.line(f"{name}: {message}\n{trace}", level="ERROR")
    return failure(request, name=name, message=message, trace=f"{cause}{message}\n{trace}")
