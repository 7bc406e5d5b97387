# SPDX-License-Identifier: GPL-2.0-or-later
"""The queries that clients were seen to send: their SQL, and what comes of them, as recorded on a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import omero
import omero.model as m
import pytest

from omero_devserver.hql.translate import translate
from omero_devserver.store.access import Access
from omero_devserver.store.arguments import read_arguments
from omero_devserver.store.caller import ALL_GROUPS, Caller
from omero_devserver.store.errors import ValuesSelected
from omero_devserver.store.store import Store

from .conftest import Lab
from .golden import Golden, read
from .seen_data import Made, fill

GOLDEN = read()
#: They list all that there is, or all of an owner, or join a collection only to ask what is in it.
WHOLE_LISTS = {9, 25, 34, 53, 55, 56, 57, 61}
LOOKED_UP = [golden for golden in GOLDEN if (golden.parameters or golden.literal) and golden.number not in WHOLE_LISTS]


@pytest.fixture(scope="module")
def seen(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Caller, Made]]:
    path = tmp_path_factory.mktemp("seen") / "omero.db"
    shutil.copy(prepared, path)
    lab = Lab(Store(path))
    alice = lab.caller("alice", "gro")
    yield lab.store, replace(alice, group=ALL_GROUPS), fill(lab, alice)
    lab.store.close()


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case omero.RObject():
            return f"RObject({type(value.val).__name__})"
        case omero.RMap():
            return f"{{{', '.join(f'{name} {kind_of(inner)}' for name, inner in sorted(value.val.items()))}}}"
        case _:
            return type(value).__name__.removesuffix("I")


def kinds_of(column: list[Any]) -> str:
    found = dict.fromkeys(map(kind_of, column))
    null = found.pop("null", "no null")
    return " | ".join([*found, *(["null"] if null is None else [])])


def references_of(one: Any) -> tuple[list[str], list[str]]:
    """Names of the references of an object and of its details: of the loaded ones, and of the others that are not null."""
    fields = {name[1:]: value for name, value in sorted(vars(one).items()) if isinstance(value, m.IObject)}
    details = {f"details.{name}": getattr(one.details, name) for name in ("owner", "group", "creationEvent", "updateEvent")}
    every = {name: value for name, value in {**fields, **details}.items() if value is not None}
    return [n for n, v in every.items() if v.isLoaded()], [n for n, v in every.items() if not v.isLoaded()]


def collections_of(one: Any) -> list[str]:
    return [name[1:-6] for name, loaded in sorted(vars(one).items()) if name.endswith("Loaded") and loaded is True]


@pytest.mark.parametrize("golden", GOLDEN, ids=[str(golden.number) for golden in GOLDEN])
def test_the_sql_of_a_query_is_the_golden_one(golden: Golden) -> None:
    assert golden.translated() == golden.sql


@pytest.mark.parametrize("golden", GOLDEN, ids=[str(golden.number) for golden in GOLDEN])
def test_the_rows_of_a_query_are_of_the_recorded_kinds(seen: tuple[Store, Caller, Made], golden: Golden) -> None:
    store, alice, made = seen
    rows = store.project(alice, golden.hql(made), golden.given(made))
    assert len(rows) == golden.rows
    assert [kinds_of(list(column)) for column in zip(*rows, strict=True)] == golden.types


@pytest.mark.parametrize("golden", GOLDEN, ids=[str(golden.number) for golden in GOLDEN])
def test_the_objects_of_a_query_come_loaded_as_recorded(seen: tuple[Store, Caller, Made], golden: Golden) -> None:
    store, alice, made = seen
    if golden.rows and not golden.types[0].startswith("RObject"):
        with pytest.raises(ValuesSelected):
            store.objects(alice, golden.hql(made), golden.given(made))
        return
    objects = store.objects(alice, golden.hql(made), golden.given(made))
    assert len(objects) == golden.rows
    if objects:
        assert references_of(objects[0]) == (golden.loaded, golden.unloaded)
        assert collections_of(objects[0]) == golden.collections


@pytest.mark.parametrize("golden", LOOKED_UP, ids=[str(golden.number) for golden in LOOKED_UP])
def test_what_clients_look_up_is_found_by_indexes(seen: tuple[Store, Caller, Made], golden: Golden) -> None:
    store, alice, made = seen
    row_filter = Access(alice, store._rows).row_filter
    statement = translate(golden.hql(made), read_arguments(golden.given(made)), row_filter)
    plan = [row["detail"] for row in store._rows.named(f"EXPLAIN QUERY PLAN {statement.sql}", statement.bound)]
    # Nothing but the values of the query's own lists is gone through.
    assert [step for step in plan if step.startswith("SCAN") and not step.startswith("SCAN json_each")] == []


def test_every_query_that_was_seen_is_here() -> None:
    assert [golden.number for golden in GOLDEN] == list(range(1, 110))
