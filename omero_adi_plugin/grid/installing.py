# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing: our scripts onto a server, and off it.

Each script is brought up to date by itself, in one call, and is looked at before: whoever dies in the middle, or is overtaken by
somebody who does the same, runs it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import rstring

from omero_adi_plugin.errors import NotPermitted, ScriptForeign, ScriptNotTaken
from omero_adi_plugin.grid.catalogue import Condition, file_of, look, look_at
from omero_adi_plugin.ice import translated, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.grid.catalogue import Found, Session

PROGRAM, NO_PROGRAM = "text/x-python", "text/plain"
"""By its mimetype a server knows a script from a file that is none; it itself switches off what it cannot read in this way
(real server, recorded: facts 11; ScriptI.validateParams of OMERO's source)."""

EVERYWHERE = {"omero.group": "-1"}
"""A script's jobs are in the groups of those who ran it: only whoever sees them can delete their links to it (source:
ScriptI.deleteScript of OMERO)."""


DELETING = "the privilege DeleteScriptRepo, and DeleteOwned where others have run it"
"""For the links to a script go with it, and those belong to whoever ran it."""


class Done(StrEnum):
    """What became of a script."""

    INSTALLED = "installed"
    REPLACED = "replaced"
    LEFT = "left alone"
    REMOVED = "removed"
    OFF = "switched off"
    NOTHING = "was not there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One script, and what was done.

    before: how it was found.
    script: its id now, None if there is none that can be run.
    why:    a sentence; '' if there is nothing to explain.
    """

    before: Found
    done: Done
    script: int | None
    why: str = ""


def install(session: Session) -> Iterator[Change]:
    """Bring our scripts on the server up to date; gives each change when it is done.

    Parameters
    ----------
    session : Session
        Of an administrator who holds the privilege WriteScriptRepo.

    Raises
    ------
    NotPermitted
        The session's user may not.
    ScriptNotTaken
        OMERO does not find parameters in a script, and has switched it off.
    ScriptForeign
        Somebody else's script has the path of one of ours; the others are done by then.
    OmeroDown, ConnectionBroken, ServerTrouble
        OMERO does not answer, or has trouble: what is done is done.
    """
    foreign = []
    for found in look(session):
        if found.condition is Condition.FOREIGN:
            foreign.append(found)
            yield _left(found)
        elif found.condition is Condition.SAME:
            yield Change(before=found, done=Done.LEFT, script=found.script)
        else:
            yield _bring(session, found)
    if foreign:
        raise ScriptForeign(scripts=[each.ours.name for each in foreign], where=session.where)


def remove(session: Session) -> Iterator[Change]:
    """Take our scripts off the server; gives each change when it is done. Takes and raises the same as `install`."""
    for found in look(session):
        if found.condition is Condition.FOREIGN:
            yield _left(found)
        elif found.condition is Condition.MISSING:
            yield Change(before=found, done=Done.NOTHING, script=None)
        else:
            yield _take_off(session, found)


def _left(found: Found) -> Change:
    return Change(before=found, done=Done.LEFT, script=found.script, why="It is not ours.")


def _bring(session: Session, found: Found) -> Change:
    """Write one script that is not as it should be."""
    ours = found.ours
    with translated(f"installing {ours.name}", session.where):
        try:
            script = _write(session, found)
        except omero.SecurityViolation as error:
            raise _not_permitted(session, "install", "WriteScriptRepo") from error
        except omero.ServerError as error:
            now = look_at(session, ours)
            if now.condition is Condition.SAME:
                return Change(before=found, done=Done.LEFT, script=now.script, why="Somebody else has just installed it.")
            if isinstance(error, omero.ValidationException) and now.condition is Condition.OFF:
                raise ScriptNotTaken(script=ours.name, where=session.where, words=_last_line(error)) from error
            raise
    done = Done.INSTALLED if found.condition is Condition.MISSING else Done.REPLACED
    return Change(before=found, done=done, script=script)


def _write(session: Session, found: Found) -> int:
    """Write a script, under its old id if it has one; raises what OMERO does."""
    service = session.factory.getScriptService()
    file = None if found.condition is Condition.MISSING else file_of(session, found.ours)
    if file is None:
        return int(service.uploadOfficialScript(found.ours.path, found.ours.text))
    service.editScript(file, found.ours.text)  # loaded: one that is switched off would not be found
    return int(file.getId().getValue())


def _take_off(session: Session, found: Found) -> Change:
    """Delete one script, with its file; switch it off if OMERO keeps it."""
    with translated(f"removing {found.ours.name}", session.where):
        why = _delete(session, found)
        kept = file_of(session, found.ours)
        if kept is not None:
            try:
                _set_mimetype(session, kept, NO_PROGRAM)
            except omero.SecurityViolation as error:
                raise _not_permitted(session, "remove", "DeleteScriptRepo and WriteScriptRepo") from error
    return Change(before=found, done=Done.REMOVED if kept is None else Done.OFF, script=None, why=why)


def _delete(session: Session, found: Found) -> str:
    """Delete a script; return a sentence that says why if OMERO does not."""
    file = file_of(session, found.ours)
    try:
        if file is not None and found.condition is Condition.OFF:  # what is no script cannot be deleted as one
            file = _set_mimetype(session, file, PROGRAM)
        if file is not None:
            session.factory.getScriptService().deleteScript(file.getId().getValue(), EVERYWHERE)
    except omero.SecurityViolation:
        return f"OMERO does not let '{session.user}' delete it: that needs {DELETING}."
    except omero.ValidationException:
        return "OMERO keeps it, because jobs name it that have run it."
    except omero.ApiUsageException:
        return "Somebody else has just removed it."
    return ""


def _set_mimetype(session: Session, file: Any, mimetype: str) -> Any:  # noqa: ANN401 (omero.model is untyped)
    file.setMimetype(rstring(mimetype))
    return session.factory.getUpdateService().saveAndReturnObject(file)


def _not_permitted(session: Session, doing: str, privileges: str) -> NotPermitted:
    return NotPermitted(
        f"'{session.user}' may not {doing} scripts on OMERO at {session.where}: that needs an administrator who holds "
        f"{privileges}. Name one for this command: `OMERO_USER=root OMERO_PASSWORD=... omero adi scripts {doing}`."
    )


def _last_line(error: Any) -> str:  # noqa: ANN401 (omero's exceptions are untyped)
    """Return what the run of a script has said last, which OMERO quotes behind its own words; else those."""
    lines = [line.strip() for line in str(error.message or "").splitlines()]
    return next((line for line in reversed(lines) if line.strip("-") and not line.startswith("No std")), words(error))
