# SPDX-License-Identifier: GPL-2.0-or-later
"""Work: what the answer to a request needs, and how answers are found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import omero.cmd

from omero_devserver.cmd.responses import failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One submitted request.

    who:       in whose name it runs, looking at all groups, as graph requests do.
    caller:    the same in the group of the call.
    cancelled: asks whether the client has called it off.
    files:     which files are to be removed after the commit: repository, path and name.
    data:      what else is: attachments, planes and thumbnails.
    made:      what was written for rows that are not committed yet, to be removed if they never are: their ids come again.
    """

    server: Server
    session: Session
    who: Caller
    caller: Caller
    cancelled: Callable[[float], bool]
    files: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)
    data: list[Path] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)

    def answer(self, request: Any) -> Any:
        """Carry a request out.

        Returns
        -------
        omero.cmd.Response
            An ``omero.cmd.ERR`` if it was refused; what it did until then is for the caller to take back.
        """
        kind = _KINDS.get(type(request))
        return self.not_implemented(request) if kind is None else kind.answer(self, request)

    def not_implemented(self, request: Any, *fields: str) -> Any:
        """Answer a request that this server does not know, or that it does not know with these fields."""
        where = f"Session.submit({', '.join([type(request).__name__, *fields])})"
        self.server.journal.not_implemented(where)
        message = f"not implemented by the development server: {where}"
        return failure(request, name="not-implemented", message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How requests of one class are answered.

    steps:  how many each shows.
    writes: which of them run in one transaction, which nobody else may write beside; the others must not hold anybody up.
    """

    answer: Callable[[Work, Any], Any]
    steps: Callable[[Any], int]
    writes: Callable[[Any], bool]


_KINDS: dict[type, Kind] = {}


def answers(
    request: type, *, steps: int | Callable[[Any], int] = 1, writes: bool | Callable[[Any], bool] = False
) -> Callable[[Callable[[Work, Any], Any]], Callable[[Work, Any], Any]]:
    """Make a function the answer to requests of a class; see `Kind`."""
    counted = (lambda _request: steps) if isinstance(steps, int) else steps
    asked = (lambda _request: writes) if isinstance(writes, bool) else writes

    def register(answer: Callable[[Work, Any], Any]) -> Callable[[Work, Any], Any]:
        _KINDS[request] = Kind(answer=answer, steps=counted, writes=asked)
        return answer

    return register


def writes(request: Any) -> bool:
    """Tell whether a request changes something."""
    kind = _KINDS.get(type(request))
    return kind is not None and kind.writes(request)


def steps_of(request: Any) -> int:
    """Tell how many steps a real server takes for a request."""
    kind = _KINDS.get(type(request))
    return 1 if kind is None else kind.steps(request)


def known_requests() -> list[type]:
    """List the classes of requests that are answered."""
    return list(_KINDS)


def failed(response: Any) -> bool:
    """Whether a response says that nothing was done."""
    return isinstance(response, omero.cmd.ERR)
