# SPDX-License-Identifier: GPL-2.0-or-later
"""Template: where imports go, as ``%user%_%userId%//%year%-%month%/%day%/%time%`` says (OMERO: `omero.fs.repo.path`).

What stands before `//` belongs to root and is the same for all imports of a user; what stands after it belongs to the user.
Terms: `%user%`, `%userId%`, `%group%`, `%groupId%`, `%year%`, `%month%`, `%monthname%`, `%day%`, `%session%` (its uuid),
`%sessionId%`, `%perms%`, `%institution%` or `%institution:default%`, `%hash%` or `%hash:3,3,2%`, `%thread%`; and those that
make a folder that was not there: `%time%`, `%increment%` or `%increment:digits%`, `%subdirs%` or `%subdirs:digits%`.
The rules are those of OMERO's `ManagedRepositoryI.TemplateDirectoryCreator`.
"""

from __future__ import annotations

import calendar
import re
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from omero_devserver.repository.naming import Parts, parts_of, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

_TERM = re.compile(r"%([a-zA-Z]+)(?::([^%/]+))?%")
_MAKING = ("time", "increment", "subdirs")
_HASH_DIGITS = 8
#: Stands for the `%` of a value until its component is done, so that no user's name is taken for a term; no value has it.
_PERCENT = "\0"


class TemplateError(ValueError):
    """A template that cannot be used, or not for this import; the text says which part."""


class FolderTaken(Exception):
    """A folder that was to be new has been made by somebody else."""


class Folders(Protocol):
    """The folders of the repository, as one user makes them."""

    def make(self, folder: Parts, *, parents: bool) -> None:
        """Make a folder, with those above it if `parents`; without, raise FolderTaken if it is there."""

    def is_there(self, folder: Parts) -> bool:
        """Tell whether something of that name is there."""

    def entries(self, folder: Parts) -> int | None:
        """Count what is in a folder: 0 if it could be made, None if it is no folder and cannot become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the terms stand for.

    permissions: of the group, as ``rwra--``.
    institution: of the user, or None.
    paths:       of the files on the client's side, sorted; `%hash%` is made from them.
    """

    user: str
    user_id: int
    group: str
    group_id: int
    permissions: str
    session: str
    session_id: int
    institution: str | None
    time: datetime
    paths: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template, split at its slashes."""

    of_root: Parts
    of_user: Parts

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template; raises TemplateError if no folder would belong to the user."""
        of_root, _, of_user = text.rpartition("//")
        if not parts_of(of_user):
            raise TemplateError("no user-owned directories in managed repository template path")
        return cls(of_root=parts_of(of_root), of_user=parts_of(of_user))

    def root_folder(self, facts: Facts) -> Parts:
        """Expand the part that belongs to root; () if there is none. Raises TemplateError."""
        return _Expansion(self.of_root, facts, (), None).run()

    def make(self, facts: Facts, folders: Folders) -> Parts:
        """Make the user's folders below those of root, which must be there; returns the path of the last one.

        Raises TemplateError, and what making folders raises.
        """
        below = self.root_folder(facts)
        made = _Expansion(self.of_user, facts, below, folders).run()
        if made == below:
            raise TemplateError("no user-owned directories in expanded form of managed repository template path")
        return made


class _Expansion:
    """One expansion; with `folders` each folder is made as soon as its name is known."""

    def __init__(self, parts: Parts, facts: Facts, below: Parts, folders: Folders | None) -> None:
        self._left, self._facts, self._folders = deque(parts), facts, folders
        self._done = list(below)

    def run(self) -> Parts:
        while self._left:
            name = self._name(self._left.popleft())
            if name is None:
                continue
            self._done.append(name)
            if self._folders is not None:
                self._folders.make(tuple(self._done), parents=bool(self._left))
        return tuple(self._done)

    def _name(self, pattern: str) -> str | None:
        """Expand one component; None if it needs no folder of its own any more."""
        while terms := list(_TERM.finditer(pattern)):
            for term in terms:
                before, after = pattern[: term.start()], pattern[term.end() :]
                name, parameter = term[1][0].lower() + term[1][1:], term[2]
                if name in _VALUES:
                    value = _VALUES[name](self._facts, parameter)
                    if value is None:
                        return None
                    pattern = before + value.replace("%", _PERCENT) + after
                    break
                if name == "hash":
                    self._left.extendleft(reversed(self._hashed(before, after, parameter)))
                    return None
                if name in _MAKING and self._folders is not None and len(terms) == 1:
                    self._make_new(self._folders, name, parameter, _plain(before), _plain(after))
                    return None
            else:
                raise TemplateError(f'cannot expand template repository path component "{pattern}"')
        return _plain(pattern)

    def _hashed(self, before: str, after: str, parameter: str | None) -> list[str]:
        if self._folders is None:
            raise TemplateError("%hash% is prohibited in this part of the repository template path")
        digits, names, at = f"{_java_hash(self._facts.paths):08X}", [], 0
        for length in map(int, (parameter or str(_HASH_DIGITS)).split(",")):
            if length < 1 or at + length > _HASH_DIGITS:
                raise TemplateError(f'invalid parameters "{parameter}" for %hash% in the repository template path')
            names.append(before + digits[at : at + length] + after)
            at, before, after = at + length, "", ""
        return names

    def _make_new(self, folders: Folders, kind: str, parameter: str | None, before: str, after: str) -> None:
        here = tuple(self._done)
        if kind == "subdirs":
            digits = int(parameter or 3)
            if digits < 1:
                raise TemplateError(f'invalid parameter "{parameter}" for %subdirs% in the repository template path')
            self._make_subfolders(folders, digits, before, after)
            return
        named: Callable[[int], str]
        if kind == "time":
            time = self._facts.time
            named = lambda index: f"{before}{time:%H-%M-%S}.{time.microsecond // 1000 + index:03d}{after}"  # noqa: E731
        else:
            named = lambda index: f"{before}{index + 1:0{int(parameter or 0)}d}{after}"  # noqa: E731
        while True:
            new = (*here, named(_first(lambda index: not folders.is_there((*here, named(index))))))
            try:
                folders.make(new, parents=False)
            except FolderTaken:
                continue  # another import of this user came first
            self._done.append(new[-1])
            return

    def _make_subfolders(self, folders: Folders, digits: int, before: str, after: str) -> None:
        here, limit = tuple(self._done), 10**digits

        def roomy(folder: Parts) -> bool:
            entries = folders.entries(folder)
            return entries is not None and entries < limit

        def named(index: int) -> Parts:
            text = str(index)
            text = text.rjust(-(-len(text) // digits) * digits, "0")
            groups = [text[at : at + digits] for at in range(0, len(text), digits)]
            return (before + groups[0] + after, *groups[1:])

        if roomy(here):
            return
        extra = named(_first(lambda index: roomy((*here, *named(index)))))
        folders.make((*here, *extra), parents=True)
        self._done.extend(extra)


def _plain(text: str) -> str:
    return text.replace(_PERCENT, "%")


def _institution(facts: Facts, default: str | None) -> str | None:
    name = facts.institution if facts.institution and facts.institution.strip() else default
    return None if name is None else safe(name)


_VALUES: dict[str, Callable[[Facts, str | None], str | None]] = {
    "user": lambda facts, _: safe(facts.user),
    "userId": lambda facts, _: str(facts.user_id),
    "group": lambda facts, _: safe(facts.group),
    "groupId": lambda facts, _: str(facts.group_id),
    "year": lambda facts, _: str(facts.time.year),
    "month": lambda facts, _: f"{facts.time.month:02d}",
    "monthname": lambda facts, _: calendar.month_name[facts.time.month],
    "day": lambda facts, _: f"{facts.time.day:02d}",
    "session": lambda facts, _: facts.session,
    "sessionId": lambda facts, _: str(facts.session_id),
    "perms": lambda facts, _: facts.permissions,
    "institution": _institution,
    "thread": lambda _, __: safe(threading.current_thread().name),
}


def _first(accepted: Callable[[int], bool]) -> int:
    """Find the least number that is accepted, where all below it are not: with few questions."""
    if accepted(0):
        return 0
    low, high = 0, 1
    while not accepted(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepted(middle) else (middle, high)
    return high


def _java_hash(paths: Sequence[str]) -> int:
    """Compute the hash that OMERO takes of the paths, as an unsigned 32-bit number: the same on every machine."""
    total = 1
    for path in paths:
        text = 0
        for unit in memoryview("/".join(parts_of(path)).encode("utf-16-le", "surrogatepass")).cast("H"):
            text = (text * 31 + unit) & 0xFFFFFFFF
        total = (total * 31 + text * 97) & 0xFFFFFFFF
    return total
