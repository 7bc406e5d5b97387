# SPDX-License-Identifier: GPL-2.0-or-later
"""The key-values that other programs find images by."""

import json
from datetime import datetime

from omero_adi_plugin.orders import Entry, Order, Target, TargetKind
from omero_adi_plugin.pipeline.keyvalues import key_values


def order(*entries: Entry) -> Order:
    return Order(uuid="u-1", user="me", group="us", target=Target(kind=TargetKind.DATASET, id=7), entries=entries)


def test_they_say_whose_order_it_was_and_where_the_file_came_from() -> None:
    values = key_values(order(Entry(path="/data/ü.tif", name="Ü")), entry="/data/ü.tif", imported_from="/OMERO/ü.tif")
    time = datetime.fromisoformat(values.pop("Import_Timestamp"))
    assert time.tzinfo is not None
    assert values == {
        "UUID": "u-1",
        "Filepath": "/data/ü.tif",
        "Group": "us",
        "Username": "me",
        "DestinationID": "7",
        "DestinationType": "Dataset",
        "Files": '["/data/ü.tif"]',
        "FileNames": '["Ü"]',
        "Imported_from": "/OMERO/ü.tif",
    }


def test_of_many_files_the_first_ten_and_their_number_are_listed() -> None:
    ten = [Entry(path=f"/data/{number}.tif") for number in range(10)]
    assert json.loads(key_values(order(*ten), entry="/", imported_from="/")["Files"]) == [each.path for each in ten]
    text = key_values(order(*ten, Entry(path="/data/10.tif")), entry="/", imported_from="/")["Files"]
    assert "/data/9.tif" in text
    assert "/data/10.tif" not in text
    assert text.endswith("and 1 more, 11 in all")
