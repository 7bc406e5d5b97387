# SPDX-License-Identifier: GPL-2.0-or-later
"""Importer: one call of OMERO's importer for many filesets, watched until it ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConfigurationError, ImportInterrupted
from omero_adi_plugin.importers.official.arguments import Import, Installation
from omero_adi_plugin.importers.official.explaining import explained
from omero_adi_plugin.importers.official.output import Output
from omero_adi_plugin.importers.official.process import Stuck, run_java
from omero_adi_plugin.logs import event, order_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import Session, Skip
    from omero_adi_plugin.orders import Marker, Target

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A call that has come to its end by itself.

    status: its exit status; 0 also when every single import failed (real server, recorded).
    output: what it said.
    """

    status: int
    output: Output

    def why_not(self, plan: FilesetPlan) -> AdiError:
        """Say why a fileset that is not in OMERO was not imported (`explaining.explained`)."""
        complaints = (self.output.complaint(path) for file in plan.files for path in (file.source, file.path))
        return explained(plan, next(filter(None, complaints), None), status=self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialImporter:
    """OMERO's own importer, as the settings want it to work.

    session:          that it joins: a session of the user who is to own the images, in the group they are to be in.
    skip, skip_upgrade, parallel_files, parallel_filesets, heap_mb: as in `Import`.
    patience_seconds: how long it may be silent before it counts as stuck.
    """

    session: Session
    skip: Skip
    skip_upgrade: bool
    parallel_files: int
    parallel_filesets: int
    heap_mb: int
    patience_seconds: float

    def run(
        self,
        plans: Sequence[FilesetPlan],
        *,
        target: Target,
        marker: Marker,
        on_reported: Callable[[list[int]], None],
        on_wait: Callable[[int], None],
    ) -> Ended:
        """Have filesets imported, in one call; what came of them is to be asked of OMERO afterwards (`holdings`).

        Parameters
        ----------
        plans : sequence of FilesetPlan
            What to import.
        target : Target
            What into.
        marker : Marker
            Goes on each image.
        on_reported : callable
            Told the ids of filesets that the importer says it is done with.
        on_wait : callable
            Called about twice a second, and told how many lines the importer has said so far. An exception from either ends it.

        Raises
        ------
        ImportInterrupted
            The importer was silent for too long, or was killed.
        ConfigurationError
            It is not there, or does not start.
        """
        client = self.session.client
        call = Import(
            host=client.getProperty("omero.host"),
            port=int(client.getProperty("omero.port")),
            key=client.getSessionId(),
            target=target,
            marker=marker,
            paths=[plan.files[0].source for plan in plans],
            skip=self.skip,
            skip_upgrade=self.skip_upgrade,
            parallel_files=self.parallel_files,
            parallel_filesets=self.parallel_filesets,
            heap_mb=self.heap_mb,
        )
        listener = _Listener(call.key, order=marker.uuid, on_reported=on_reported, on_wait=on_wait)
        arguments = call.arguments(Installation.find())
        event(_log, logging.INFO, "importer.started", order=marker.uuid, filesets=len(plans))
        try:
            status = run_java(arguments, listener=listener, patience_seconds=self.patience_seconds)
        except Stuck as stuck:
            words = f"OMERO's importer had said nothing for {self.patience_seconds:.0f} s"
            raise ImportInterrupted(path=plans[0].files[0].path, words=words) from stuck
        event(_log, logging.INFO, "importer.ended", order=marker.uuid, status=status)
        if status < 0:
            words = f"OMERO's importer was killed (signal {-status})"
            raise ImportInterrupted(path=plans[0].files[0].path, words=words)
        if status and not listener.output.started:
            raise ConfigurationError(f"OMERO's own importer does not start (status {status}): {listener.output.last[:200]}.")
        listener.end()
        return Ended(status=status, output=listener.output)


class _Listener:
    """Reads along, and writes the importer's log into that of the order, without the session key."""

    def __init__(self, key: str, *, order: str, on_reported: Callable[[list[int]], None], on_wait: Callable[[int], None]) -> None:
        self.output, self._heard = Output(), 0
        self._key, self._order = key, order
        self._on_reported, self._on_wait = on_reported, on_wait

    def out(self, line: str) -> None:
        self._heard += 1
        if not self.output.out(line):
            self._keep(line)

    def err(self, line: str) -> None:
        self._heard += 1
        self.output.err(line)
        self._keep(line)

    def wait(self) -> None:
        self._report()
        self._on_wait(self._heard)

    def end(self) -> None:
        self.output.end()
        self._report()

    def _report(self) -> None:
        filesets = self.output.new_filesets()
        if filesets:
            self._on_reported(filesets)

    def _keep(self, line: str) -> None:
        order_event(_log, logging.INFO, "importer.log", order=self._order, line=line.replace(self._key, "…"))
