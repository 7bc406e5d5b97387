# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders: what a producer asked for, and the words for carrying it out.

`OrderText` is an order as its row holds it, byte for byte and perhaps nonsense. `Order` is one that makes sense;
`OrderText.read` makes the one of the other or raises `OrderMalformed`.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Self
from unicodedata import category

from omero_adi_plugin.errors import OrderMalformed, UsageError, quoted

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from omero_adi_plugin.preprocessing import Preprocessing, PreprocessingText

MARKER_NAMESPACE = "omero-adi/order"
"""Namespace of the comment on each Fileset that says which order it belongs to."""

SAFE_UUID = re.compile(r"[0-9A-Za-z_-]{1,36}")
"""What a uuid may consist of before it is used in a path or a log."""

LARGEST_ID = 2**63 - 1
"""Ids of OMERO are PostgreSQL's bigint."""

LONGEST_SHOWN = 80
"""So many characters of what a column holds are repeated in a sentence about it."""

LONGEST_NAME = 255
"""Logins and names of groups are of this length at most in OMERO."""

_WORDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
"""What a value that is no text is called in JSON."""


class TargetKind(StrEnum):
    """What an import can go into."""

    DATASET = "Dataset"
    SCREEN = "Screen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The existing container that an order imports into, by its OMERO id."""

    kind: TargetKind
    id: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `Dataset:151` or `Screen:12`, as the command line has it.

        Raises
        ------
        UsageError
            `text` is no such pair.
        """
        kind, colon, number = text.partition(":")
        if not colon or kind not in set(TargetKind) or not _is_id(number):
            raise UsageError(f"'{text}' is no target. Write Dataset:ID or Screen:ID, for example Dataset:151.")
        return cls(kind=TargetKind(kind), id=int(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of an order.

    path: absolute, as the producer wrote it.
    name: what the producer calls it, or None.
    """

    path: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that makes sense: these entries, into this target, for this user in this group."""

    uuid: str
    user: str
    group: str
    target: Target
    entries: tuple[Entry, ...]
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderText:
    """An order as its row in `imports` holds it; any of it may be nonsense.

    files, file_names: JSON text.
    """

    uuid: str
    user: str
    group: str
    destination_type: str
    destination_id: str
    files: str
    file_names: str | None = None
    preprocessing: PreprocessingText | None = None

    def read(self) -> Order:
        """Return the order that this text means.

        Raises
        ------
        OrderMalformed
            With the column at fault and what is wrong with it.
        """
        if not SAFE_UUID.fullmatch(self.uuid):
            raise OrderMalformed(column="uuid", problem=f"{_shown(self.uuid)} is not of the form [0-9A-Za-z_-]{{1,36}}")
        for column, text in (("user_name", self.user), ("group_name", self.group)):
            _check_name(text, column=column)
        return Order(
            uuid=self.uuid,
            user=self.user,
            group=self.group,
            target=self._target(),
            entries=self._entries(),
            preprocessing=None if self.preprocessing is None else self.preprocessing.read(),
        )

    def _target(self) -> Target:
        if self.destination_type not in set(TargetKind):
            problem = f"the destination type is {_shown(self.destination_type)}, not Dataset or Screen"
            raise OrderMalformed(column="destination_type", problem=problem)
        if not _is_id(self.destination_id):
            problem = f"the destination id is {_shown(self.destination_id)}, not a positive number"
            raise OrderMalformed(column="destination_id", problem=problem)
        return Target(kind=TargetKind(self.destination_type), id=int(self.destination_id))

    def _entries(self) -> tuple[Entry, ...]:
        paths = _strings(self.files, column="files")
        if not paths:
            raise OrderMalformed(column="files", problem="`files` names no file")
        for path in paths:
            if not path.startswith("/") or "\0" in path:
                raise OrderMalformed(column="files", problem=f"{_shown(path)} in `files` is not an absolute path")
        given = (self.file_names or "").strip()
        names = () if given in {"", "null"} else _strings(given, column="file_names")  # some programs write NULL as JSON's null
        if len(names) != len(paths):  # NULL, [] and lists of another length are normal: then the path says it all
            return tuple(Entry(path=path) for path in dict.fromkeys(paths))
        named = dict(reversed(list(zip(paths, names, strict=True))))  # of a path given twice the first name stays
        return tuple(Entry(path=path, name=named[path]) for path in dict.fromkeys(paths))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one worker to write the outcome of one order, for a limited time.

    order:   the producer's uuid, byte for byte: not always a UUID, never changed.
    owner:   who has it, as `host:pid`.
    token:   new at every claim; each later write carries it, so that a late writer hits no row.
    attempt: grows with every claim and is never reused: markers in OMERO carry it.
    until:   end of the lease, with time zone, by the clock of the *database*, not of this host.
    """

    order: str
    owner: str
    token: UUID
    attempt: int
    until: datetime

    def __post_init__(self) -> None:
        if self.until.tzinfo is None:
            raise ValueError("a lease without a time zone could end at any time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An order that this worker has just taken: the text of its row and the lease on it.

    failures: attempts that failed so far; giving an order back at shutdown is no failure.
    skip_existing: whether it was ordered that files which the target already holds are left alone.
    places: how many filesets it may have in flight for now.
    asked:  when it was asked for, in s by this host's monotonic clock: from then on the lease counts, at the latest.
    cancelled_by: who has called it off while somebody carried it out, `name@host`; what is half done is to be tidied up.
    again: whether what was imported, and is not in OMERO any more, is to be imported again.
    """

    lease: Lease
    text: OrderText
    failures: int
    skip_existing: bool = False
    places: int = 1
    asked: float = field(default_factory=time.monotonic)
    cancelled_by: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSweep:
    """An order that has ended, and of which OMERO is to be looked at once more.

    A request of a session that was lost, by a worker that died, may have arrived there after everybody had looked.

    attempt: the last one that there was; a greater one means that the order was begun again.
    text:    as in `Claim`; if somebody has deleted the row, nothing is in it and reading it says so.
    since:   when the first of the attempts began after which it may not have been looked yet, in s of the epoch, by the clock of
             the database.
    now:     when this was taken, by the same clock: that of one host may be wrong.
    tries:   how often this was begun by now, this time included.
    """

    uuid: str
    attempt: int
    text: OrderText
    since: float
    now: float
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """A lease with a later end, and what is wanted of the order by now.

    cancelled_by: who has called it off, `name@host`; None: nobody.
    draining: whether all imports are paused, and those that run are to be given back, too.
    """

    lease: Lease
    cancelled_by: str | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be done at the same time, by all services on all hosts together.

    per_user, per_group: orders that are carried out for one user, in one group; None: as many as there are workers.
    in_flight: filesets that are being imported.
    scripts:   orders that are carried out by scripts on OMERO's Processors; None: as many as are launched.
    """

    per_user: int | None = None
    per_group: int | None = None
    in_flight: int = 1_000_000
    scripts: int | None = None


class FileStep(StrEnum):
    """How far the ledger knows one fileset of an order to be, in the order of the steps."""

    PLANNED = "planned"  # nothing is in OMERO
    CREATED = "created"  # importFileset has answered: marker and files' rows are in OMERO, no image
    VERIFYING = "verifying"  # verifyUpload is about to be called: from here on the server may be at work by itself
    IMPORTED = "imported"  # the server's response is here: all images are in OMERO
    ANNOTATED = "annotated"  # every image has its key-values: done
    SKIPPED = "skipped"  # the target held it already, from elsewhere: nothing was imported
    FAILED = "failed"  # cannot be imported; `error` says why


class Route(StrEnum):
    """Which way a file goes into OMERO."""

    INPLACE = "inplace"
    ZARR = "zarr"
    OMERO = "omero"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFile:
    """One line of the ledger: a fileset of an order, and how far it has come.

    entry:   the path of the order that it belongs to.
    output:  what a converter made of the entry, None without converter.
    key:     names the fileset within its order, see `Marker`.
    fileset, images, plates: OMERO's ids, as far as they are known.
    """

    entry: str
    key: str
    route: Route
    step: FileStep
    output: str | None = None
    fileset: int | None = None
    images: tuple[int, ...] = ()
    plates: tuple[int, ...] = ()
    error: str | None = None

    @property
    def shown(self) -> str:
        """What people are told that it is: the entry and, of what a converter has made, its name."""
        return self.entry if self.output is None else f"{self.entry} → {self.output}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What is written on each Fileset, in the transaction that makes it: whose it is.

    key: the smallest used path of the fileset, by bytes, so that it does not depend on which of its files was opened.
    """

    uuid: str
    attempt: int
    key: str

    def __str__(self) -> str:
        return f"{self.uuid} {self.attempt} {self.key}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a marker's text; None if it is not one of ours."""
        uuid, _, rest = text.partition(" ")
        attempt, space, key = rest.partition(" ")
        if not (SAFE_UUID.fullmatch(uuid) and attempt.isascii() and attempt.isdigit() and space and key):
            return None
        return cls(uuid=uuid, attempt=int(attempt), key=key)


def _is_id(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,19}", text)) and 0 < int(text) <= LARGEST_ID


def _check_name(text: str, *, column: str) -> None:
    """Refuse what no user or group of OMERO can be called, and what would not be fit to print."""
    if not text.strip():
        raise OrderMalformed(column=column, problem=f"`{column}` is empty")
    if len(text) > LONGEST_NAME:
        problem = f"`{column}` has {len(text)} characters ({_shown(text)}), more than the {LONGEST_NAME} that OMERO has room for"
        raise OrderMalformed(column=column, problem=problem)
    if any(category(character) == "Cc" for character in text):
        raise OrderMalformed(column=column, problem=f"`{column}` is {_shown(text)}, which has control characters in it")


def _strings(text: str, *, column: str) -> tuple[str, ...]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OrderMalformed(column=column, problem=f"`{column}` is not valid JSON ({_shown(str(error))})") from error
    if not isinstance(value, list):
        raise OrderMalformed(column=column, problem=f"`{column}` holds {_shown(text)}, not a JSON list of paths")
    for item in value:
        if not isinstance(item, str):
            raise OrderMalformed(column=column, problem=f"`{column}` lists {_WORDS[type(item)]}, not only texts")
    return tuple(value)


def _shown(text: str) -> str:
    return quoted(text, length=LONGEST_SHOWN)
