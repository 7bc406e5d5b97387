# SPDX-License-Identifier: GPL-2.0-or-later
"""The page about going over and back: its commands, typed in its order at a site of the former importer, do what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fixtures.laboratory import Lab
from tests.fixtures.pages import DOCS, examples
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, clean
from tests.fixtures.waiting import WAIT_SECONDS

PAGE = "migrating.md"
SERVE = "omero adi serve\n"
# OMERO's script refuses root; the same command does not
COMMANDS = 'omero() { shift; "$PYTHON" -m omero_adi_plugin "$@"; }\nalembic() { "$PYTHON" -m alembic "$@"; }\n'
SHAPE = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"


class Site:
    """A folder as the former importer had it, and an administrator who types there what the page says."""

    def __init__(self, folder: Path, services: Services, url: str) -> None:
        self.folder, self.url = folder, url
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "settings.yml").write_bytes(services.config.read_bytes())
        (folder / "migrations").symlink_to(DOCS.parent / "migrations")
        services.config = folder / "config" / "settings.yml"

    def type(self, text: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", COMMANDS + text],
            env={**clean(), "PYTHON": sys.executable, "INGEST_TRACKING_DB_URL": self.url},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == os.EX_OK, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def test_a_site_goes_over_and_back_by_the_commands_of_the_page(
    tmp_path: Path, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    assert services.run("db", "detach").returncode == os.EX_OK
    before = tracking.sql(SHAPE)
    assert not any(name.startswith("adi_") for name, _ in before)
    site = Site(tmp_path / "site", services, tracking.url)
    begun, waiting = (tracking.order(lab, samples.image(f"{name}.ome.tif")) for name in ("begun", "waiting"))
    tracking.sql("UPDATE imports SET stage = 'Import Started' WHERE uuid = %s", begun)
    saw: dict[str, str] = {}
    for example in examples(PAGE):
        if example.heading == "With Alembic by hand":
            assert tracking.sql(SHAPE) == before, "detached, the database is not as it was"
        if example.text == SERVE:
            service = services.start(max_workers=1)
            tracking.wait(waiting)
            continue
        saw[example.text] = site.type(example.text)
        if "pause --drain" in example.text:
            assert services.stop(service) == os.EX_OK
    assert len(lab.images()) == 1
    assert tracking.stages(begun)[-1] == "Import Failed"
    assert tracking.stages(waiting) == ["Import Pending", "Import Started", "Import Completed"]
    [listed] = [printed for typed, printed in saw.items() if "orders list" in typed]
    assert waiting in listed
    assert begun in listed
    by_hand = saw[next(typed for typed in saw if typed.startswith("alembic"))]
    assert "78d3d6d84aec (head)" in by_hand
    current = json.loads(services.run("db", "current", "--json").stdout)
    assert current["needs_upgrade"] is False
