# SPDX-License-Identifier: GPL-2.0-or-later
"""Golden queries: every query that clients were seen to send, the SQL it becomes, and what comes of it.

`data/hql-golden.json` has one entry a query. Columns, counts and what is loaded are those that a real OMERO.server was recorded
to give for the data of `seen_data`; the counts of queries that look at everything are those of that data alone. The SQL is ours:
after a change to the translation, ``.venv/bin/python -m tests.unit.devserver.golden`` writes it anew, and the diff shows what
the change does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import omero
import omero.sys
from omero.rtypes import rint, rlist, rlong, rstring

from omero_devserver.hql.scope import RowFilter
from omero_devserver.hql.translate import translate
from omero_devserver.store.arguments import read_arguments

PATH = Path(__file__).parent / "data" / "hql-golden.json"
_PLACE = re.compile(r"(\w+)\[(\d+)(?::(\d*))?\]")
_CLAUSES = re.compile(r"(?<!LEFT) (?=(?:FROM|JOIN|LEFT JOIN|WHERE|GROUP BY|ORDER BY) )")


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One query.

    clients:     who sends it: G BlitzGateway, E ezomero's suite, I imports, S scripts, C commands, W OMERO.web.
    string:      HQL as it was seen.
    literal:     what its last number stands for, as `Image[0]`; "" if it stays.
    parameters:  by name: the RType, or `RList` of longs, and the value or what it stands for.
    sql:         what it is translated to, cut at its clauses; the caller's filter is written as `?seen(table)`.
    rows, types: of a projection; a type is RObject(ImageI), a map of them for `new map`, and `| null` if some are null.
    loaded, unloaded, collections: of the first object, if it gives objects; references of it and of its details.
    """

    number: int
    clients: str
    string: str
    literal: str
    parameters: Mapping[str, str]
    sql: Sequence[str]
    rows: int
    types: Sequence[str]
    loaded: Sequence[str]
    unloaded: Sequence[str]
    collections: Sequence[str]

    def hql(self, made: Mapping[str, Sequence[int]]) -> str:
        return re.sub(r"\d+$", str(_places(self.literal, made)[0]), self.string) if self.literal else self.string

    def given(self, made: Mapping[str, Sequence[int]]) -> Any:
        given = omero.sys.ParametersI()
        for name, described in self.parameters.items():
            kind, _, value = described.partition(" ")
            match kind:
                case "RList":
                    given.add(name, rlist([rlong(one) for one in _places(value, made)]))
                case "RLong":
                    given.add(name, rlong(_places(value, made)[0]))
                case "RInt":
                    given.add(name, rint(int(value)))
                case _:
                    given.add(name, rstring(value))
        return given

    def translated(self) -> list[str]:
        """The SQL, with ids of 1 wherever something that was made is meant."""
        ones = _Ones()
        statement = translate(self.hql(ones), read_arguments(self.given(ones)), SEEN)
        return _CLAUSES.split(statement.sql)


class _Ones(dict[str, Sequence[int]]):
    def __missing__(self, key: str) -> Sequence[int]:
        return [1] * 10


SEEN: RowFilter = lambda table, entity: "" if entity.system else f"?seen({table})"  # noqa: E731


def read() -> list[Golden]:
    return [Golden(**entry) for entry in json.loads(PATH.read_text(encoding="utf-8"))]


def write(every: Sequence[Golden]) -> None:
    PATH.write_text(json.dumps([asdict(one) for one in every], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _places(text: str, made: Mapping[str, Sequence[int]]) -> Sequence[int]:
    ids: list[int] = []
    for name, first, last in _PLACE.findall(text):
        every = made[name]
        ids += every[int(first) : int(last) if last else None] if ":" in text else [every[int(first)]]
    return ids


if __name__ == "__main__":
    write([replace(one, sql=one.translated()) for one in read()])
