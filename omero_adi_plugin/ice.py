# SPDX-License-Identifier: GPL-2.0-or-later
"""Ice: what the exceptions of Ice and OMERO mean, told by their type, in one place.

Both adapters that talk to OMERO, `sessions` and `importers`, wrap their calls in `translated`. Where one call can fail in a
way of its own (a source that the server cannot read, a user who is unknown) the caller catches that type inside.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import Glacier2
import Ice
import omero.all

from omero_adi_plugin.errors import AdiError, ConnectionBroken, OmeroDown, ServerTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator

TROUBLE = (Ice.Exception, Glacier2.SessionNotExistException, omero.ClientError)
"""All that calls to OMERO raise. The second has another base class, against the pattern of the first."""

NOBODY_ANSWERS = (Ice.ConnectFailedException, Ice.ConnectTimeoutException, Ice.DNSException, omero.ShutdownInProgress)
"""No connection can be made: the server is not there, or is about to leave."""

CUT_OFF = (
    Ice.SocketException,
    Ice.TimeoutException,
    Ice.CloseConnectionException,
    Ice.ConnectionNotValidatedException,
    Ice.ForcedCloseConnectionException,
    Ice.CommunicatorDestroyedException,
    Ice.ObjectNotExistException,  # what Ice says after it has silently reconnected to a server that has lost the session
    Ice.UnknownLocalException,  # the router's words for a server behind it that has died (real server, recorded)
    Glacier2.SessionNotExistException,
    omero.SessionException,  # removed, or out of its time
    omero.ClientError,  # omero.client's own: it has no connection any more
)
"""A connection or session that was there has ended."""

_SESSION_KEY = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@contextmanager
def translated(doing: str, where: str) -> Iterator[None]:
    """Make exceptions of Ice and OMERO ours.

    Parameters
    ----------
    doing : str
        What is being done, to follow "while": "looking up the target".
    where : str
        Host and port of OMERO.

    Raises
    ------
    OmeroDown
        No connection could be made.
    ConnectionBroken
        The connection or the session ended meanwhile.
    ServerTrouble
        The server answered with an error: it is overloaded, or the call was not possible. Among these is a SecurityViolation,
        because rights that were taken away meanwhile are named properly at the beginning of the next attempt.
    """
    try:
        yield
    except TROUBLE as error:
        raise meaning(error, doing, where) from error


def meaning(error: Exception, doing: str, where: str) -> AdiError:
    """Return the error of ours that an exception of Ice or OMERO stands for (see `translated`)."""
    if isinstance(error, NOBODY_ANSWERS):
        return OmeroDown(where=where, why=words(error))
    if isinstance(error, CUT_OFF) or type(error) is Ice.ProtocolException:  # so IceSSL says that a handshake was cut off
        return ConnectionBroken(doing=doing)
    return ServerTrouble(doing=doing, words=words(error))


def words(error: Exception) -> str:
    """Return what an exception says, in one line, without session keys: whoever has one has the session.

    `str(error)` is not used: of Ice's exceptions it gives several lines, and IcePy aborts the process over some of them.
    """
    for attribute in ("message", "reason", "unknown"):
        text = getattr(error, attribute, None)
        if isinstance(text, str) and text.strip():
            first = text.strip().splitlines()[0]
            return _SESSION_KEY.sub("…", f"{type(error).__name__}: {first}")[:300]
    return type(error).__name__
