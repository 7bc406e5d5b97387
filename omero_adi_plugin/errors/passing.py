# SPDX-License-Identifier: GPL-2.0-or-later
"""Passing: transient trouble of an order. It is worth another attempt later."""

from __future__ import annotations

from omero_adi_plugin.errors.base import AdiError, quoted


class TryAgain(AdiError):
    """Another attempt later is likely to succeed."""


class ConnectionBroken(TryAgain):
    """The connection to OMERO ended in the middle of the work."""

    def __init__(self, *, doing: str) -> None:
        super().__init__(f"The connection to OMERO was lost while {doing}. The order is tried again by itself.")
        self.doing = doing


class ImportInterrupted(TryAgain):
    """The import was cut off on the server's side, or something of it was taken away meanwhile."""

    def __init__(self, *, path: str, words: str) -> None:
        super().__init__(f"The import of {quoted(path)} was interrupted: {words}. The order is tried again by itself.")
        self.path, self.words = path, words


class EntryNotReady(TryAgain):
    """One entry cannot be imported at the moment; the others of its order go on, and then the order is tried again."""


class FileGrowing(EntryNotReady):
    """A file of the order is still being written."""

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{quoted(path)} is still being written: its size or time has just changed. The order is tried again by itself; "
            "order when the copying is done."
        )
        self.path = path


class ServerTrouble(TryAgain):
    """OMERO.server answered with an error that says nothing against the order: it is overloaded, or busy with something else."""

    def __init__(self, *, doing: str, words: str) -> None:
        super().__init__(f"OMERO.server reported an error while {doing}: {words}. The order is tried again by itself.")
        self.doing, self.words = doing, words


class StillUnderWay(TryAgain):
    """An order has not ended within the time that somebody wanted to wait for it."""

    def __init__(self, *, uuid: str, seconds: float) -> None:
        super().__init__(
            f"Order '{uuid}' has not ended within {seconds:g} seconds. It goes on by itself; "
            f"`omero adi orders show {uuid}` tells more."
        )
        self.uuid, self.seconds = uuid, seconds


class OrderBusy(TryAgain):
    """An order is just now being carried out, or called off, so it cannot be ordered again."""

    def __init__(self, *, uuid: str, owner: str, called_off: bool = False) -> None:
        doing = "called off" if called_off else "carried out"
        super().__init__(
            f"Order '{uuid}' is being {doing} by {owner}. Wait for its end (`omero adi orders wait {uuid}`), then try again."
        )
        self.uuid, self.owner, self.called_off = uuid, owner, called_off


class OrderOpen(TryAgain):
    """An order waits, or is being carried out, so that nobody can say, or change, what has become of it in the end."""

    def __init__(self, *, uuid: str) -> None:
        super().__init__(
            f"Order '{uuid}' has not ended. Wait for its end (`omero adi orders wait {uuid}`) or call it off "
            f"(`omero adi orders cancel {uuid}`), then try again."
        )
        self.uuid = uuid


class CutOff(TryAgain):
    """A command that works with OMERO could not come to its end; what it has done is done, and it can be run again."""

    def __init__(self, *, why: str) -> None:
        super().__init__(f"{why} Run the same command again: it goes on from there.")
        self.why = why


class RemovalRefused(TryAgain):
    """OMERO does not delete some of the filesets that a person wanted to be removed; they are named by then."""

    def __init__(self, *, filesets: int) -> None:
        super().__init__(
            f"{filesets} fileset{' stays' if filesets == 1 else 's stay'} in OMERO, for the reasons above. "
            "When those are gone, run the same command again."
        )
        self.filesets = filesets


class Halted(TryAgain):
    """Nothing of the order is to be begun, or gone on with, any more; why is told elsewhere."""

    def __init__(self) -> None:
        super().__init__("The work was not gone on with, because the order had met trouble. It is tried again by itself.")


class ImportsPaused(TryAgain):
    """Somebody has paused all imports; the sentence is that of the pause."""


class ServicesRunning(TryAgain):
    """Services are at work on a database that is to be given away."""

    def __init__(self, *, who: str) -> None:
        super().__init__(f"The database is in use: {who}. Stop all services (`omero adi pause --drain` first), then try again.")
        self.who = who


class NotBegun(TryAgain):
    """No script has begun with an order, for a reason that is not the order's: it is held up, and this counts as no failure."""


class LaunchBroken(NotBegun):
    """OMERO has broken off the launch of a script: the Processor that was to run it has gone, say; `words` are the server's."""

    def __init__(self, *, where: str, words: str) -> None:
        super().__init__(
            f"OMERO at {where} broke off the launch of a script that was to carry the order out: {words}. The order is tried "
            "again by itself."
        )
        self.where, self.words = where, words


class ScriptRefused(NotBegun):
    """A script that was launched for an order has not taken it; `words` are its own, and anybody may have written them."""

    def __init__(self, *, words: str) -> None:
        super().__init__(
            "A script was launched on one of OMERO's Processors to carry the order out, and has not begun. It says: "
            f"{quoted(words)}. The order is tried again by itself."
        )
        self.words = words
