# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO's database is restored from an older backup: what was imported since is named, and comes back once, on request."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omero_adi_plugin.sessions import Logins
from tests.fixtures.inside import Inside
from tests.fixtures.laboratory import Lab, furnished
from tests.fixtures.omero import running_here
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services


class Restorable:
    """An OMERO of the test's own whose database can be saved and restored; its managed repository stays as it is, as at a site.

    `lab` is there while it runs.
    """

    lab: Lab

    def __init__(self, data: Path, template: Path, services: Services) -> None:
        self._data, self._template, self._services = data, template, services
        self._known: Lab | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        with running_here(self._data, template=self._template, step_seconds=0) as server, Logins(server.account) as logins:
            self._services.configure(
                omero_host=server.host, omero_port=server.ssl_port, omero_password=server.root_password, log_file_path=None
            )
            if self._known is None:
                with furnished(logins, server.account) as self.lab:
                    self._known = self.lab
                    yield
                return
            with logins.act_for(self._known.user, self._known.group) as session:
                self.lab = dataclasses.replace(self._known, session=session)
                yield

    def save(self, backup: Path) -> None:
        shutil.copy(self._data / "omero.sqlite", backup)

    def restore(self, backup: Path) -> None:
        for file in self._data.glob("omero.sqlite*"):
            file.unlink()
        shutil.copy(backup, self._data / "omero.sqlite")


@pytest.fixture
def restorable(tmp_path: Path, server_template: Path, services: Services) -> Restorable:
    return Restorable(tmp_path / "own-omero", server_template, services)


def imported(inside: Inside, lab: Lab, *files: str) -> str:
    into = ["--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group]
    done = inside("import", *files, *into, "--json")
    assert done.status == 0, done.stderr
    return str(json.loads(done.stdout)["uuid"])


@pytest.mark.usefixtures("without_java")
def test_after_a_restore_what_is_gone_is_named_and_comes_back_once(
    restorable: Restorable, inside: Inside, services: Services, samples: Samples, tmp_path: Path
) -> None:
    files = {name: samples.image(f"{name}.ome.tif", seed=seed) for seed, name in enumerate(["kept", "lost", "too", "later"])}
    with restorable.running():
        kept = imported(inside, restorable.lab, files["kept"])
    restorable.save(tmp_path / "backup")
    with restorable.running():
        lost = imported(inside, restorable.lab, files["lost"], files["too"])
        assert inside("verify").status == 0
    restorable.restore(tmp_path / "backup")
    with restorable.running():
        later = imported(inside, restorable.lab, files["later"])  # gets the number that the first of the lost ones had
        looked = inside("verify", "--json")
        assert looked.status == os.EX_DATAERR
        found = [(each["order"], Path(each["entry"]).name, each["kind"]) for each in json.loads(looked.stdout)["findings"]]
        assert found == [(lost, "lost.ome.tif", "id taken"), (lost, "too.ome.tif", "fileset gone")]
        assert inside("orders", "retry", lost, "--again").status == 0
        assert services.run(*ONCE).returncode == 0
        shown = json.loads(inside("orders", "show", lost, "--json").stdout)
        assert shown["state"] == "completed", shown["description"]
        once = {(kept, files["kept"]), (lost, files["lost"]), (lost, files["too"]), (later, files["later"])}
        assert restorable.lab.markers() == Counter(dict.fromkeys(once, 1))
        assert len(restorable.lab.images()) == 4
        content = inside("verify")
        assert (content.status, content.stdout.partition(":")[0]) == (0, "3 orders, 4 filesets, 4 files looked at"), (
            content.stdout
        )
