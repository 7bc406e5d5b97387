# SPDX-License-Identifier: GPL-2.0-or-later
"""What a producer in Python writes. `make check` runs mypy on it: the types of the interface are as they are written here."""

from datetime import datetime
from pathlib import Path
from typing import assert_type

from omero_adi_plugin import OrderState, OrderStatus, Preprocessing, order_status, submit_order, wait_for_order

converter = Preprocessing(container="cellularimagingcf/converter:latest", extra_params={"saveoption": "single"})
order = submit_order(
    ["/data/a.tif", Path("/data/b.tif")], user="ann", group="Demo", target="Dataset:151", preprocessing=converter
)
assert_type(order, str)

status = wait_for_order(order, timeout_seconds=60.0, url="postgresql://host/database")
assert_type(status, OrderStatus)
assert_type(order_status(order), OrderStatus)
assert_type(status.state, OrderState | None)
assert_type(status.description, str | None)
assert_type(status.next_try, datetime | None)
if status.files is not None:
    assert_type(status.files[0].images, tuple[int, ...])
if status.stages is not None:
    assert_type(status.stages[0].stage, str)
