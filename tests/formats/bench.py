# SPDX-License-Identifier: GPL-2.0-or-later
"""A bench: a lab in OMERO, a database, and what a worker has, for many orders one after the other."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from omero.model import DatasetI, ScreenI
from omero.rtypes import rstring

from omero_adi_plugin.orders import LedgerFile, Target, TargetKind
from omero_adi_plugin.service.attempt import Attempts, account
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.submit import submit_order
from omero_adi_plugin.tracking.views import OrderStatus, order_status
from tests.fixtures.laboratory import Lab
from tests.fixtures.omero import OmeroServer
from tests.fixtures.services import Services, Tracking

OLD_SECONDS = 3600
"""Files are made so old that none counts as one that is still being written."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """An order that has come to its end; `into` is its target."""

    status: OrderStatus
    into: Target

    @property
    def uuid(self) -> str:
        return self.status.uuid

    @property
    def lines(self) -> tuple[LedgerFile, ...]:
        assert self.status.files is not None
        return self.status.files

    def of(self, path: str | Path) -> list[LedgerFile]:
        """The lines of the ledger for an entry."""
        return [line for line in self.lines if line.entry == str(path)]

    def images(self) -> list[int]:
        return sorted(image for line in self.lines for image in line.images)


class Bench:
    """Carries orders out in this process, as a worker does."""

    def __init__(self, lab: Lab, tracking: Tracking, services: Services, server: OmeroServer, data: Path) -> None:
        self.lab, self.tracking, self.services, self.data = lab, tracking, services, data
        self._server = server
        self.settings = Settings.load(services.config)
        self._logins = Logins(account(self.settings))
        self._attempts = Attempts(self.settings, sessions=self._logins)

    def close(self) -> None:
        self._attempts.close()
        self._logins.close()

    def linked(self, below: Path) -> Counter[str]:
        """Files below a folder that links in OMERO's repository point to, and how many times."""
        links = [path.readlink() for path in self._server.managed_repository.rglob("*") if path.is_symlink()]
        return Counter(str(to) for to in links if below in to.parents)

    def folder(self, name: str) -> Path:
        """A new folder below the roots."""
        folder = self.data / f"{name}-{uuid4().hex[:8]}"
        folder.mkdir()
        return folder

    def new(self, kind: TargetKind) -> Target:
        """A new Dataset or Screen of the lab's user."""
        made = DatasetI() if kind is TargetKind.DATASET else ScreenI()
        made.setName(rstring("formats"))
        saved = self.lab.session.factory.getUpdateService().saveAndReturnObject(made)
        return Target(kind=kind, id=saved.getId().getValue())

    def carry_out(self, *paths: str | Path, into: Target | None = None, names: Sequence[str] | None = None) -> Done:
        """Order as a producer does, by a row of SQL, and carry it out."""
        into = into or self.new(TargetKind.DATASET)
        columns: dict[str, object] = {"destination_type": str(into.kind), "destination_id": str(into.id)}
        if names is not None:
            columns["file_names"] = json.dumps(list(names))
        return self._carry_out(self.tracking.order(self.lab, *map(str, paths), **columns), into)

    def again(self, done: Done) -> Done:
        """Have an order done again, as operators were always told to, and carry it out."""
        self.tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", done.uuid)
        return self._carry_out(done.uuid, done.into)

    def skip_existing(self, *paths: str | Path, into: Target) -> Done:
        """Order in the way that leaves alone what the target holds already, and carry it out."""
        files = [str(path) for path in paths]
        uuid = submit_order(
            self._attempts.database,
            user=self.lab.user,
            group=self.lab.group,
            target=into,
            files=files,
            who="a test",
            skip_existing=True,
        )
        return self._carry_out(uuid, into)

    def foresee(self, *paths: str | Path, into: Target, options: Sequence[str] = ()) -> tuple[int, dict[str, Any]]:
        """Have `omero adi import --dry-run --json` say what an order would do: its exit status and its answer."""
        told = self.services.run(*self.dry(*paths, into=into), "--json", *options)
        assert told.stdout, told.stderr
        return told.returncode, json.loads(told.stdout)

    def dry(self, *paths: str | Path, into: Target) -> list[str]:
        """The words of such a command."""
        person = ["--for", self.lab.user, "--in-group", self.lab.group]
        return ["import", *map(str, paths), "--into", str(into), *person, "--dry-run"]

    def _carry_out(self, uuid: str, into: Target) -> Done:
        missing = len(self._server.missing())
        Intake(self._attempts.database, pending_days=self.settings.pending_days).take_in()
        claim = self._attempts.queue.claim(owner="formats:1")
        assert claim is not None
        assert claim.lease.order == uuid
        self._attempts.carry_out(claim)
        assert not self._server.missing()[missing:]
        return Done(status=order_status(self._attempts.database, uuid), into=into)


def aged(folder: Path) -> None:
    """Make all files below a folder so old that nobody waits for them to be complete."""
    for path in folder.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - OLD_SECONDS
            os.utime(path, (then, then))
