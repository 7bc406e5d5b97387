# SPDX-License-Identifier: GPL-2.0-or-later
"""What a facility meets before an import: targets, files, names and people, each case through the whole program.

README: against the development server without any preparation. The same against a real OMERO.server, which must not be one that
people use, as it gets groups, users and images:

    OMERO_HOST=… OMERO_PORT=4064 OMERO_USER=root OMERO_PASSWORD=… OMERO_MANAGED_REPOSITORY=/OMERO/ManagedRepository \\
    OMERO_TEST_DATA=/data/adi-tests python -m pytest tests/facility

On the host of that server, as its own account or as root; OMERO_TEST_DATA is a folder that both see under the same path (default:
the temporary folder). What is written there is removed at the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.gates import open_folder
from tests.fixtures.laboratory import Lab
from tests.fixtures.services import Services, Tracking


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder that the server can read from."""
    with open_folder(os.environ.get("OMERO_TEST_DATA")) as folder:
        yield folder


class Facility:
    """Orders of a lab, carried out by a service that ends when there is nothing left to do."""

    def __init__(self, lab: Lab, tracking: Tracking, services: Services) -> None:
        self.lab, self.tracking, self.services = lab, tracking, services

    def order(self, *files: str, **columns: object) -> str:
        return self.tracking.order(self.lab, *files, **columns)

    def carry_out(self, *orders: str, **settings: object) -> None:
        """Run a service until all orders have ended."""
        given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        done = self.services.run("serve", "--once", *given)
        assert done.returncode == os.EX_OK, done.stderr
        assert self.tracking.ended(*orders)

    def log(self) -> str:
        """The application log."""
        return self.services.log.read_text(encoding="utf-8") if self.services.log.exists() else ""

    def report(self, order: str) -> dict[str, Any]:
        shown = self.services.run("orders", "show", order, "--json")
        report: dict[str, Any] = json.loads(shown.stdout)
        return report

    def sentences(self, order: str) -> dict[str, str]:
        """Why which file could not be imported, by the path of its entry."""
        return {file["entry"]: file["error"] for file in self.report(order)["files"] if file["error"]}

    def end(self, order: str) -> tuple[str, str | None]:
        """The last stage of an order, and what it says."""
        last = "SELECT stage, description FROM imports WHERE uuid = %s ORDER BY timestamp DESC LIMIT 1"
        [(stage, description)] = self.tracking.sql(last, order)
        return stage, description


@pytest.fixture
def facility(lab: Lab, tracking: Tracking, services: Services) -> Facility:
    return Facility(lab, tracking, services)
