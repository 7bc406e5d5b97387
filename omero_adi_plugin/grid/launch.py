# SPDX-License-Identifier: GPL-2.0-or-later
"""Launch: a script on one of OMERO's Processors, watched until it has begun, and let go then."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

import omero.all
from omero.rtypes import rstring, unwrap

from omero_adi_plugin.errors import LaunchBroken, NoProcessor, NotLaunched
from omero_adi_plugin.ice import TROUBLE, translated, words

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULT_SECONDS = 5
"""How long it may take until the output of a script that has ended is there; more is not allowed (ScriptProcess.getResults)."""

END_SECONDS = 5.0
"""How long a script that is not wanted may take to end by itself."""

LOOK_SECONDS = 0.1

LONGEST_OUTPUT = 2000
"""So many bytes of what a script has printed are looked at, those at its end."""


class Session(Protocol):
    """What a launch needs of a joined OMERO session; `sessions.OmeroSession` is one."""

    @property
    def factory(self) -> Any:  # noqa: ANN401 (Ice's proxies are untyped)
        """Its omero.api.ServiceFactoryPrx."""

    @property
    def where(self) -> str:
        """Host and port of OMERO, for messages."""


class Launch:
    """A script that was started. It ends with the session that it was started in, until it is let go.

    Parameters
    ----------
    process : omero.grid.ScriptProcessPrx
        What `IScript.runScript` gave.
    session : Session
        In which it was started.
    """

    def __init__(self, process: Any, session: Session) -> None:  # noqa: ANN401 (as above)
        self._process, self._session = process, session

    @classmethod
    def begin(cls, session: Session, *, script: int, inputs: Mapping[str, str]) -> Self:
        """Start an official script, as the session's user and in its group.

        Parameters
        ----------
        session : Session
            Of whoever the script is to act for; the script gets a session of its own.
        script : int
            Its id.
        inputs : mapping of str to str
            Its parameters.

        Raises
        ------
        NoProcessor
            Nobody is there who would run it.
        NotLaunched
            The script on the server takes other parameters: it is of another version.
        LaunchBroken
            The launch has gone wrong within the server: the Processor has gone that had just offered to run the script, say (of
            that OMERO makes an InternalException, see InteractiveProcessorI of omero-blitz). Nothing in it is the order's.
        ConnectionBroken, ServerTrouble, OmeroDown
            OMERO does not answer, or has trouble.
        """
        values = {name: rstring(value) for name, value in inputs.items()}
        with translated("launching a script", session.where):
            try:
                return cls(session.factory.getScriptService().runScript(script, values, None), session)
            except omero.NoProcessorAvailable as error:
                raise NoProcessor(where=session.where, why=f"{words(error)}.") from error
            except omero.ValidationException as error:
                why = f"the one there takes other parameters ({words(error)}); run `omero adi scripts install`."
                raise NotLaunched(where=session.where, why=why) from error
            except omero.InternalException as error:
                raise LaunchBroken(where=session.where, words=words(error)) from error

    def has_ended(self) -> bool:
        """Return whether the script has ended.

        Raises
        ------
        NoProcessor
            The Processor that runs it cannot be reached any more.
        """
        try:
            return self._process.poll() is not None
        except TROUBLE as error:
            raise NoProcessor(
                where=self._session.where, why=f"the one that took the script has gone ({words(error)})."
            ) from error

    def last_words(self) -> str:
        """Return what a script that has ended says: its Message, else what it has printed last, else that it is silent."""
        try:
            found = self._process.getResults(RESULT_SECONDS)
            if "Message" in found:
                return str(unwrap(found["Message"]))
            for name in ("stderr", "stdout"):
                printed = self._printed(found[name].getValue().getId().getValue()) if name in found else ""
                if printed:
                    return f"It has printed: {printed}"
        except TROUBLE as error:
            return f"What it has printed could not be had: {words(error)}."
        return "It has said nothing."

    def let_go(self) -> None:
        """Let the script run on by itself, whatever becomes of whoever started it.

        Raises
        ------
        ConnectionBroken, ServerTrouble, OmeroDown
            It could not be said: the script ends with the session that it was started in.
        """
        with translated("letting a script go", self._session.where):
            self._process.close(True)  # noqa: FBT003 (detach)

    def end(self) -> None:
        """End the script, unless it was let go; never raises.

        It is asked first, and waited for: a Processor only clears up after a script whose end it has seen (omero-py's ProcessI).
        """
        with contextlib.suppress(*TROUBLE, NoProcessor):
            self._process.cancel()
            until = time.monotonic() + END_SECONDS
            while not self.has_ended():
                if time.monotonic() > until:
                    self._process.kill()
                    break
                time.sleep(LOOK_SECONDS)
        with contextlib.suppress(*TROUBLE):
            self._process.close(False)  # noqa: FBT003 (do not detach)

    def _printed(self, file: int) -> str:
        """Return the end of what the script has printed, in one line."""
        store = self._session.factory.createRawFileStore()
        try:
            store.setFileId(file)
            size = store.size()
            start = max(0, size - LONGEST_OUTPUT)
            text = bytes(store.read(start, size - start)).decode("utf-8", errors="replace")
        finally:
            store.close()
        return " / ".join(line.strip() for line in text.splitlines() if line.strip())
