# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults: exceptions as they travel to the client.

The exceptions of `omero_ServerErrors_ice` carry three texts: stack trace, Java class name, message. A client
shows the message; the texts used in this server are those recorded on a real server, word for word.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import Ice
import omero

log = logging.getLogger(__name__)

JAVA_PACKAGE = "ome.conditions."


def fault(kind: Any, message: str) -> Any:
    """Make one of OMERO's exceptions.

    Parameters
    ----------
    kind : class
        A subclass of ``omero.ServerError``, as ``omero.SecurityViolation``.
    message : str
        What the client shows.

    Returns
    -------
    omero.ServerError
        To be raised by the caller.
    """
    return kind("", JAVA_PACKAGE + kind.__name__, message)


def as_ice(error: Exception, *, where: str) -> Any:
    """Turn whatever a method raised into what Ice can send.

    Parameters
    ----------
    error : Exception
        Exceptions of Ice and OMERO pass, with their null texts filled: a null string in them ends the interpreter's
        marshalling. What the operating system refused becomes ResourceError, as on a real server (it says so of folders it
        cannot make: RepositoryDaoImpl). Anything else is a fault of this server: logged with its traceback, sent as
        InternalException.
    where : str
        Interface and operation, for the message.

    Returns
    -------
    Exception
        An Ice exception.
    """
    if isinstance(error, omero.ServerError):
        error.serverStackTrace = error.serverStackTrace or ""
        error.serverExceptionClass = error.serverExceptionClass or JAVA_PACKAGE + type(error).__name__
        error.message = error.message or ""
        return error
    if isinstance(error, (Ice.UserException, Ice.LocalException)):
        return error
    if isinstance(error, OSError):
        log.warning("in %s: %s", where, error)
        return fault(omero.ResourceError, f"{error.filename} ({error.strerror})" if error.filename else str(error))
    trace = "".join(traceback.format_exception(error))
    log.error("fault in %s\n%s", where, trace)
    return omero.InternalException(trace, type(error).__name__, f"{where}: {error}")
