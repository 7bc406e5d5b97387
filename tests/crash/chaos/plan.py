# SPDX-License-Identifier: GPL-2.0-or-later
"""Plan: which orders are placed and what is killed when, all of it drawn from one seed before anything begins.

The moment at which a fault hits within an order is not planned: that is the chaos. The same seed gives the same orders and the
same faults after the same number of orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from random import Random
from typing import TypeVar

from omero_devserver.disturb.occasion import MOMENTS

_Card = TypeVar("_Card")


class Kind(StrEnum):
    """What is done to a site; the words are those of the table at the end."""

    SERVICE = "a service killed"
    HOST = "a service and its workers killed at once"
    WORKER = "a worker killed"
    CONVERTER = "a container of a converter killed"
    READER = "a reader, or OMERO's importer, killed"
    FROZEN = "a worker frozen for longer than its lease"
    POSTGRES = "PostgreSQL stopped at once"
    BACKENDS = "connections to PostgreSQL terminated"
    CONNECTIONS = "connections to OMERO cut"
    SESSIONS = "sessions in OMERO killed or expired"
    OMERO = "OMERO killed"
    MOMENT = "OMERO killed at a moment of its work"
    ANSWER = "an answer of OMERO lost, which took effect"
    PROCESSOR = "a Processor killed"
    NODE = "a Processor and its scripts killed at once"
    SCRIPT = "a script killed"
    FROZEN_SCRIPT = "a script frozen for longer than its lease"


OF_GRID = frozenset({Kind.PROCESSOR, Kind.NODE, Kind.SCRIPT, Kind.FROZEN_SCRIPT})
"""What can happen only where orders are carried out by scripts."""


class Dispatch(StrEnum):
    """Where orders are carried out, as the setting says."""

    LOCAL = "local"
    GRID = "grid"

    @property
    def kinds(self) -> list[Kind]:
        """What can happen there."""
        return [kind for kind in Kind if self is Dispatch.GRID or kind not in OF_GRID]


IMPORT_MOMENTS = tuple(moment for moment in MOMENTS if moment.startswith("import."))

OPERATIONS = (
    "ManagedRepository.importFileset",
    "ImportProcess.verifyUpload",
    "IUpdate.saveAndReturnObject",
    "IUpdate.saveArray",
    "ServiceFactory.submit",
    "ISession.createSessionWithTimeouts",
)
"""What changes something in OMERO, and is asked for by an import or around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing to be done to the site.

    after:   how many orders have to have ended before.
    pick:    which of those that it may hit, from 0 to 1.
    all:     whether all of them are hit, where that is possible.
    seconds: how long something is away, or how much longer than its lease a worker or a script is frozen.
    moment:  of an import, or an operation that has just taken effect: where OMERO is killed, or an answer lost.
    """

    kind: Kind
    after: int
    pick: float
    all: bool
    seconds: float
    moment: str


class Sort(StrEnum):
    """What an order is made of, or what becomes of it."""

    FILE = "one file"
    IMAGES = "a file of three images"
    FILES = "three files"
    FOLDER = "a folder of two files"
    SET = "a set of four files"
    PLATE = "a plate"
    VALUES = "a file with key-values beside it"
    MISSING = "a file, and one that is not there"
    BROKEN = "a file, and one that is damaged"
    TWICE = "three files, submitted again while they are imported"
    CONVERTED = "a file of which a converter makes two"
    UNCONVERTED = "a file of which a converter can make nothing"
    CANCELLED = "five files, called off meanwhile"
    RETRIED = "a file that comes late, and the order is retried"


COUNTS = {
    Sort.FILE: 12,
    Sort.IMAGES: 4,
    Sort.FILES: 4,
    Sort.FOLDER: 3,
    Sort.SET: 3,
    Sort.PLATE: 3,
    Sort.VALUES: 3,
    Sort.MISSING: 2,
    Sort.BROKEN: 2,
    Sort.TWICE: 2,
    Sort.CONVERTED: 4,
    Sort.UNCONVERTED: 1,
    Sort.CANCELLED: 1,
    Sort.RETRIED: 1,
}
"""How many orders of forty-five."""

LAST_FAULT = 0.87
"""The part of the orders that have ended when the last fault is due: it must find work."""

SMALLEST_WAVE, LARGEST_WAVE = 6, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is drawn.

    waves: how many orders are placed together, again and again.
    """

    seed: int
    dispatch: Dispatch
    sorts: tuple[Sort, ...]
    waves: tuple[int, ...]
    faults: tuple[Fault, ...]


def draw(seed: int, *, orders: int, kills: int, dispatch: Dispatch = Dispatch.LOCAL) -> Plan:
    """Draw so many orders and faults; each kind of fault comes as often as every other, give or take one."""
    random = Random(seed)  # noqa: S311 (it is to be the same again)
    sorts = tuple(_take(_shuffled(random, list(chain(*([sort] * count for sort, count in COUNTS.items())))), orders))
    waves = tuple(_waves(random, orders))
    return Plan(
        seed=seed, dispatch=dispatch, sorts=sorts, waves=waves, faults=tuple(_faults(random, orders, kills, dispatch.kinds))
    )


def _waves(random: Random, orders: int) -> Iterator[int]:
    while orders > 0:
        wave = min(orders, random.randint(SMALLEST_WAVE, LARGEST_WAVE))
        yield wave
        orders -= wave


def _faults(random: Random, orders: int, kills: int, of: Sequence[Kind]) -> Iterator[Fault]:
    kinds = _shuffled(random, of)
    moments = {Kind.MOMENT: _shuffled(random, IMPORT_MOMENTS + OPERATIONS), Kind.ANSWER: _shuffled(random, OPERATIONS)}
    for number, kind in enumerate(_take(kinds, kills)):
        share = (number + random.random()) / kills
        yield Fault(
            kind=kind,
            after=int(share * orders * LAST_FAULT),
            pick=random.random(),
            all=random.random() < 0.5,
            seconds=random.uniform(0.2, 2.0),
            moment=next(moments[kind]) if kind in moments else "",
        )


def _shuffled(random: Random, deck: Sequence[_Card]) -> Iterator[_Card]:
    """Give all of a deck in some order, and again in another one, for ever."""
    while True:
        yield from random.sample(deck, len(deck))


def _take(source: Iterator[_Card], count: int) -> Iterator[_Card]:
    return (next(source) for _ in range(count))
