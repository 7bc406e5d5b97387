# SPDX-License-Identifier: GPL-2.0-or-later
"""Conversions: what converters have made of the entries of an order, written down so that none is run again for what is there."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.preprocessing import Conversion, ConvertedFile, ConvertedFileset
from omero_adi_plugin.stages import STAGE_PREPROCESSING
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.audit import storable
from omero_adi_plugin.tracking.ledger import stored_key
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Lease
    from omero_adi_plugin.tracking.database import Database

_SQL = statements("conversions.sql")


class Conversions:
    """The conversions of one order, in the hands of the worker that has the lease on it."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database, self._lease = database, lease

    def announce(self) -> None:
        """Say in the order's trail that converters are at work now.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        DatabaseDown
            PostgreSQL is not there.
        """
        with self._database.begin() as connection:
            values = {"uuid": self._lease.order, "token": self._lease.token}
            imports_id = connection.execute(_SQL["hold"], values).scalar_one_or_none()
            if imports_id is None:
                raise LeaseLost(uuid=self._lease.order)
            audit.append(connection, imports_id=imports_id, stage=STAGE_PREPROCESSING)

    def all(self) -> tuple[Conversion, ...]:
        """Return what earlier attempts, and this one, have written.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there.
        """
        return conversions_of(self._database, self._lease.order)

    def write(self, conversion: Conversion) -> None:
        """Write a conversion, in the place of an earlier one of the same entry; when this returns, it is on the database's disk.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        DatabaseDown
            PostgreSQL is not there.
        """
        values = {
            "uuid": self._lease.order,
            "token": self._lease.token,
            "entry": stored_key(conversion.entry),
            "attempt": self._lease.attempt,
            "digest": conversion.digest,
            "made": storable(json.dumps(asdict(conversion), ensure_ascii=False)),
            "delivered": conversion.delivered,
        }
        if not self._database.at_once(_SQL["write"], values):
            raise LeaseLost(uuid=self._lease.order)


def conversions_of(database: Database, uuid: str) -> tuple[Conversion, ...]:
    """Return what converters have made of the entries of an order; raises DatabaseDown."""
    return tuple(_conversion(row.made, delivered=row.delivered) for row in database.at_once(_SQL["all"], {"uuid": uuid}))


def _conversion(made: dict[str, Any], *, delivered: bool) -> Conversion:
    filesets = tuple(_fileset(each) for each in made["filesets"])
    loose = tuple(ConvertedFile(**each) for each in made["loose"])
    return Conversion(**{**made, "filesets": filesets, "loose": loose, "delivered": delivered})


def _fileset(made: dict[str, Any]) -> ConvertedFileset:
    files = tuple(ConvertedFile(**each) for each in made["files"])
    keyvalues = tuple((key, value) for key, value in made["keyvalues"])
    return ConvertedFileset(**{**made, "files": files, "keyvalues": keyvalues, "former": tuple(made["former"])})
