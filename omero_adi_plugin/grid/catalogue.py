# SPDX-License-Identifier: GPL-2.0-or-later
"""Catalogue: which of our scripts a server has, and how they compare with those of this package."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from omero_adi_plugin._version import __version__
from omero_adi_plugin.errors import ScriptsMissing
from omero_adi_plugin.grid.shipped import FOLDER, Shipped, is_ours, shipped, version_of
from omero_adi_plugin.ice import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

MISSING = -1
"""What `IScript.getScriptID` says of a path where there is none (real server, recorded: facts 11)."""

REPOSITORY = "ScriptRepo"
"""`OriginalFile.repo` of official scripts (ScriptRepoHelper of OMERO's source)."""


REMEDY = "Run `omero adi scripts install` as an administrator; its --help says how."


class Session(Protocol):
    """What is needed of a joined OMERO session; `sessions.OmeroSession` is one."""

    factory: Any
    where: str
    user: str

    def query(self, hql: str, *, all_groups: bool = False, **parameters: object) -> list[list[Any]]:
        """Return the rows of a projection as Python values."""


class Condition(StrEnum):
    """How one of our scripts is found on a server."""

    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"
    OFF = "switched off"  # a file of that path that OMERO does not take for a script
    FOREIGN = "another script"  # somebody else's, which has the path


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One of our scripts on a server.

    ours:      as this package has it.
    condition: how they compare.
    script:    its id there, None where there is none that can be run.
    version:   what the one there says of itself; None if there is none, or it does not say.
    """

    ours: Shipped
    condition: Condition
    script: int | None = None
    version: str | None = None

    @property
    def runs(self) -> bool:
        """Whether it is there and can be run, of whatever version."""
        return self.condition in {Condition.SAME, Condition.DIFFERS}

    def __str__(self) -> str:
        """Say in a word or two what is there: its version, or what else there is to say."""
        if self.condition is Condition.DIFFERS and self.version == self.ours.version:
            return f"{self.version or 'no version'}, changed there"
        if self.condition in {Condition.SAME, Condition.DIFFERS}:
            return self.version or "no version"
        return str(self.condition)


def find(session: Session, path: str) -> int:
    """Return the id of one of our scripts, whatever version of it the server has.

    Parameters
    ----------
    session : Session
        Of anybody: official scripts are everybody's.
    path : str
        As `RUN_ORDERS`.

    Raises
    ------
    ScriptsMissing
        The server has none of that path that can be run.
    OmeroDown, ConnectionBroken, ServerTrouble
        OMERO does not answer, or has trouble.
    """
    with translated("looking for a script", session.where):
        service = session.factory.getScriptService()
        script = service.getScriptID(path)
        if script == MISSING:
            service.getScripts()  # one that was put into the folder of scripts by hand becomes known by this
            script = service.getScriptID(path)
    if script == MISSING:
        raise ScriptsMissing(script=path.removeprefix(FOLDER), where=session.where)
    return int(script)


def look(session: Session) -> tuple[Found, ...]:
    """Return how each of our scripts is found on the server.

    Raises
    ------
    OmeroDown, ConnectionBroken, ServerTrouble
        OMERO does not answer, or has trouble.
    """
    with translated("looking at the scripts", session.where):
        session.factory.getScriptService().getScripts()  # as in `find`; also forgets those that were taken out by hand
    return tuple(look_at(session, each) for each in shipped())


def look_at(session: Session, ours: Shipped) -> Found:
    """Return how one of our scripts is found on the server; raises as `look`."""
    with translated("looking at the scripts", session.where):
        service = session.factory.getScriptService()
        script = service.getScriptID(ours.path)
        if script == MISSING:
            off = file_of(session, ours) is not None
            return Found(ours=ours, condition=Condition.OFF if off else Condition.MISSING)
        text = service.getScriptText(script) or ""
    other = Condition.DIFFERS if is_ours(text) else Condition.FOREIGN
    condition = Condition.SAME if text == ours.text else other
    return Found(ours=ours, condition=condition, script=int(script), version=version_of(text))


def file_of(session: Session, ours: Shipped) -> Any | None:  # noqa: ANN401 (omero.model is untyped)
    """Return the file that the server has at the path of a script, also one that it does not take for a script."""
    hql = "select o from OriginalFile o where o.repo = :repo and o.path = :path and o.name = :name"
    rows = session.query(hql, all_groups=True, repo=REPOSITORY, path=FOLDER, name=ours.name)
    return rows[0][0] if rows else None


def standing(session: Session, *, wanted: bool) -> str | None:
    """Return what there is to say of our scripts on the server, with what to do; None if they are those of this package.

    Parameters
    ----------
    session : Session
        Of anybody.
    wanted : bool
        Whether they have to be there; if not, a server that has none of them is right, too.

    Raises
    ------
    OmeroDown, ConnectionBroken, ServerTrouble
        OMERO does not answer, or has trouble.
    """
    found = look(session)
    if not wanted and not any_there(found):
        return None
    differing = difference(found, where=session.where)
    return differing and f"{differing} {REMEDY}"


def any_there(found: Iterable[Found]) -> bool:
    """Tell whether any of our scripts can be run."""
    return any(each.runs for each in found)


def difference(found: Iterable[Found], *, where: str) -> str | None:
    """Return a sentence about those that are not as they should be, None if there are none."""
    names: dict[str, list[str]] = {}
    for each in found:
        if each.condition is not Condition.SAME:
            names.setdefault(str(each), []).append(each.ours.name)
    if not names:
        return None
    others = "; ".join(f"{', '.join(scripts)} ({what})" for what, scripts in names.items())
    return f"The scripts on OMERO at {where} are not those of version {__version__}, which runs here: {others}."
