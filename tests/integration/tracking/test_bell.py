# SPDX-License-Identifier: GPL-2.0-or-later
"""Waking by the database."""

from __future__ import annotations

import os
import time
from contextlib import closing
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import DatabaseDown
from omero_adi_plugin.tracking.bell import Bell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.producer import Producer

LONG = 30.0


@pytest.fixture
def bell(database_url: str) -> Iterator[Bell]:
    with closing(Bell(database_url, ["adi_inbox", "adi_order"])) as bell:
        assert bell.wait(0)  # has just connected
        yield bell


def test_it_rings_when_a_producer_commits_and_only_then(bell: Bell, producer: Producer) -> None:
    assert not bell.wait(0)
    with closing(producer.connect()) as connection:
        producer.pending(on=connection)
        assert not bell.wait(0)
        connection.commit()
    assert bell.wait(LONG)
    assert not bell.wait(0)


def test_it_rings_while_somebody_sleeps(bell: Bell, producer: Producer) -> None:
    begin = time.monotonic()
    timer = Timer(0.2, producer.sql, ["NOTIFY adi_order"])
    timer.start()
    assert bell.wait(LONG)
    assert time.monotonic() - begin < LONG / 2
    timer.join()


def test_another_descriptor_wakes_it(bell: Bell) -> None:
    reader, writer = os.pipe()
    try:
        assert not bell.wait(0, also=[reader])
        os.write(writer, b"!")
        assert bell.wait(LONG, also=[reader])
    finally:
        os.close(reader)
        os.close(writer)


def test_a_broken_connection_is_told_once_and_then_made_anew(bell: Bell, producer: Producer) -> None:
    producer.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'omero-adi bell'")
    with pytest.raises(DatabaseDown):
        bell.wait(LONG)
    assert bell.wait(0)  # connected anew: what was told meanwhile is lost, so look
    producer.sql("NOTIFY adi_inbox")
    assert bell.wait(LONG)


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    with closing(Bell(f"postgresql://ann:secret@/adi?host={tmp_path}", ["adi_order"])) as bell:
        for _ in range(2):
            with pytest.raises(DatabaseDown) as caught:
                bell.wait(LONG)
            assert "secret" not in str(caught.value)
