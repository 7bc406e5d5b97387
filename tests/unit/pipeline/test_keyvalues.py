# SPDX-License-Identifier: GPL-2.0-or-later
"""The key-values that other programs find images by."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pytest

from omero_adi_plugin._version import __version__
from omero_adi_plugin.orders import Entry, Order, Route, Target, TargetKind
from omero_adi_plugin.pipeline.keyvalues import LONGEST_TEXT, Provenance, key_values

INPLACE = Provenance(route=Route.INPLACE, bioformats="8.1.1")


def order(*entries: Entry) -> Order:
    return Order(uuid="u-1", user="me", group="us", target=Target(kind=TargetKind.DATASET, id=7), entries=entries)


def values_of(it: Order, **more: object) -> dict[str, str]:
    values = key_values(it, **{"entry": "/", "imported_from": "/", "provenance": INPLACE} | more)  # type: ignore[arg-type]
    assert max(Counter(key for key, _ in values).values()) == 1
    return dict(values)


def test_they_say_whose_order_it_was_and_where_the_file_came_from_in_the_order_of_the_contract() -> None:
    it = order(Entry(path="/data/ü.tif", name="Ü"))
    values = key_values(
        it, entry="/data/ü.tif", imported_from="/OMERO/ü.tif", provenance=INPLACE, metadata=[("a", "1"), ("a", "2")]
    )
    (time,) = (value for key, value in values if key == "Import_Timestamp")
    assert datetime.fromisoformat(time).tzinfo is not None
    assert values == (
        ("UUID", "u-1"),
        ("Filepath", "/data/ü.tif"),
        ("Group", "us"),
        ("Username", "me"),
        ("DestinationID", "7"),
        ("DestinationType", "Dataset"),
        ("Files", '["/data/ü.tif"]'),
        ("FileNames", '["Ü"]'),
        ("Imported_from", "/OMERO/ü.tif"),
        ("Import_Timestamp", time),
        ("ADI_Version", __version__),
        ("Bioformats_Version", "8.1.1"),
        ("Import_Route", "inplace"),
        ("csv_a", "1"),
        ("csv_a", "2"),
    )


def test_what_is_not_known_is_left_out() -> None:
    values = values_of(order(Entry(path="/data/a.tif")), provenance=Provenance(route=Route.ZARR, bioformats=None))
    assert "Bioformats_Version" not in values
    assert (values["FileNames"], values["Import_Route"]) == ("[]", "zarr")


def test_of_many_files_the_first_ten_and_their_number_are_listed() -> None:
    ten = [Entry(path=f"/data/{number}.tif", name=f"n{number}") for number in range(10)]
    values = values_of(order(*ten))
    assert json.loads(values["Files"]) == [each.path for each in ten]
    assert json.loads(values["FileNames"]) == [each.name for each in ten]
    values = values_of(order(*ten, Entry(path="/data/10.tif", name="n10"), Entry(path="/data/11.tif", name="n11")))
    for key, last, beyond in (("Files", "/data/9.tif", "/data/10.tif"), ("FileNames", "n9", "n10")):
        assert last in values[key]
        assert beyond not in values[key]
        assert values[key].endswith("] and 2 more, 12 in all")


def test_names_and_paths_of_nonsense_do_not_go_onto_every_image_in_full() -> None:
    values = values_of(order(Entry(path="/" + "x" * 10_000_000, name="y" * 10_000_000)), entry="/" + "x" * 10_000_000)
    assert max(len(value) for value in values.values()) < LONGEST_TEXT + 10


class Entries(tuple[Entry, ...]):
    """Counts how many entries are looked at."""

    __slots__ = ()
    looked_at = 0

    def __iter__(self) -> Iterator[Entry]:
        for entry in super().__iter__():
            type(self).looked_at += 1
            yield entry


@pytest.mark.parametrize("name", [None, "n"])
def test_of_ten_thousand_files_each_does_not_go_through_all_others(name: str | None) -> None:
    Entries.looked_at = 0
    it = order(*())
    object.__setattr__(it, "entries", Entries(Entry(path=f"/data/{number}.tif", name=name) for number in range(10_000)))
    values_of(it)
    assert 10 <= Entries.looked_at < 50
