# SPDX-License-Identifier: GPL-2.0-or-later
"""Poison: rows of nonsense, all at once, are failed by a real service, each with its sentence; the good among them go in."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import pytest

from tests.fixtures.laboratory import Lab
from tests.fixtures.poison import MALFORMED, STRANGE
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking

pytestmark = pytest.mark.usefixtures("without_java")

FAILED = ["Import Pending", "Import Started", "Import Failed"]
DONE = ["Import Pending", "Import Started", "Import Completed"]
HARMLESS = {"uuid", "file_names"}
"""An order that is strange in these alone makes sense."""


def test_rows_of_nonsense_fail_with_a_sentence_each_and_the_good_orders_among_them_are_imported(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    file = samples.image()

    def ordered(row: dict[str, Any]) -> str:
        return tracking.order(lab, file, **{"uuid": str(uuid4()), **row})

    strange: list[dict[str, Any]] = [dict(case.values[0]) for case in STRANGE]  # type: ignore[call-overload]
    bad = [ordered({str(case.values[0]): case.values[1]}) for case in MALFORMED]
    bad += [ordered(row) for row in strange if not row.keys() <= HARMLESS]
    good = [ordered(row) for row in [*strange, {}] if row.keys() <= HARMLESS]
    assert services.run(*ONCE).returncode == os.EX_OK
    assert tracking.ended(*bad, *good)
    assert [tracking.stages(uuid) for uuid in good] == [DONE] * len(good)
    assert len(lab.images()) == len(good)
    for uuid in bad:
        assert tracking.stages(uuid) == FAILED
        sentence = tracking.description(uuid)
        assert sentence.isprintable()
        assert 20 < len(sentence) <= 500
    listed = services.run("orders", "list", "--limit", "1000")
    assert listed.returncode == os.EX_OK
    assert all(line.replace("\t", "").isprintable() for line in listed.stdout.splitlines())
