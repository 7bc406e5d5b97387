# SPDX-License-Identifier: GPL-2.0-or-later
"""Surroundings: something that all orders need is not there. No order is to blame."""

from __future__ import annotations

from omero_adi_plugin.errors.base import AdiError, quoted


class SurroundingsDown(AdiError):
    """Something that all orders need is not there; no order is to blame, and none is failed for it."""


class OmeroDown(SurroundingsDown):
    """OMERO.server does not answer, or does not let the service account in."""

    def __init__(self, *, where: str, why: str) -> None:
        super().__init__(f"OMERO at {where} cannot be reached: {why}. Check that it runs, and OMERO_HOST and OMERO_PORT.")
        self.where, self.why = where, why


class OmeroReadOnly(OmeroDown):
    """OMERO.server answers, and refuses whatever would change something: it was started so, for maintenance or as a copy."""

    def __init__(self, *, where: str) -> None:
        AdiError.__init__(
            self,
            f"OMERO at {where} is read-only, so nothing can be imported. Imports go on by themselves when it was restarted "
            "without `omero.cluster.read_only`.",
        )
        self.where, self.why = where, "it is read-only"


class DatabaseDown(SurroundingsDown):
    """PostgreSQL does not answer."""

    def __init__(self, *, where: str, why: str) -> None:
        super().__init__(
            f"The tracking database at {where} cannot be reached: {why}. Check that it runs, and INGEST_TRACKING_DB_URL."
        )
        self.where, self.why = where, why


class DiskFull(SurroundingsDown):
    """A disk that the import writes to has no room left."""

    def __init__(self, *, path: str) -> None:
        super().__init__(f"There is no space left on the disk of {quoted(path)}. Make room; the order goes on by itself.")
        self.path = path


class NoProcessor(SurroundingsDown):
    """OMERO has no Processor that would run a script, or it has gone; `why` is a sentence."""

    def __init__(self, *, where: str, why: str) -> None:
        super().__init__(
            f"No Processor of OMERO at {where} carries orders out: {why} Check that Processors run there "
            "(`omero admin diagnostics`); orders wait meanwhile."
        )
        self.where, self.why = where, why


class NotLaunched(SurroundingsDown):
    """OMERO did not start a script that was to carry an order out; `why` is a sentence."""

    def __init__(self, *, where: str, why: str) -> None:
        super().__init__(f"OMERO at {where} starts no scripts to carry orders out: {why} Orders wait meanwhile.")
        self.where, self.why = where, why


class StorageDown(SurroundingsDown):
    """The storage that files to import lie on is away; `why` is a predicate: "is not there"."""

    def __init__(self, *, folder: str, why: str) -> None:
        super().__init__(
            f"The folder {quoted(folder)}, in which files to import lie, {why}. "
            "Mount what belongs there, or correct `base_dir` and `group_roots`; orders wait meanwhile."
        )
        self.folder, self.why = folder, why
