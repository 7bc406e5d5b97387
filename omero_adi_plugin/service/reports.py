# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports: what a worker tells its service, through a pipe of its own: that it is in trouble, or that all is well (again).

No lock is shared. A report is shorter than what a pipe takes in one piece (PIPE_BUF, pipe(7)), so a worker that is killed has
written all of it or nothing.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import AdiError, ConfigurationError, NotPermitted, SurroundingsDown

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

NOBODYS_FAULT = (SurroundingsDown, ConfigurationError, NotPermitted)
"""What keeps a process from carrying out any order: something is away, set wrongly, or forbidden to our own account."""

LONGEST_WHY = 500
"""So many characters of what is wrong a report has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What keeps a process from carrying out any order.

    kind: the class of the error.
    why:  what it says, at most `LONGEST_WHY` characters.
    """

    kind: type[AdiError]
    why: str

    @classmethod
    def of(cls, error: AdiError) -> Trouble:
        """Return what there is to report of an error."""
        return cls(kind=type(error), why=str(error)[:LONGEST_WHY])

    def error(self) -> AdiError:
        """Return an error of the same class with the same words, without its facts."""
        made = self.kind.__new__(self.kind)
        AdiError.__init__(made, self.why)
        return made


class Voice:
    """The worker's end of the pipe.

    Parameters
    ----------
    pipe : Connection
        One that can be written to.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._told: Trouble | None = None
        self._spoke = False
        os.set_blocking(pipe.fileno(), False)

    def tell(self, trouble: Trouble | None) -> None:
        """Tell how it stands, if that is new; None: all is well. Never waits for the service, and never raises."""
        if self._spoke and trouble == self._told:
            return
        # A service that hangs has a full pipe, to which the next call will tell it; one that died takes this process with it.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._pipe.send(trouble)
            self._told, self._spoke = trouble, True
