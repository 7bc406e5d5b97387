# SPDX-License-Identifier: GPL-2.0-or-later
"""Means: what a process brings along for orders that ask for a converter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.pipeline.converting import Converting
from omero_adi_plugin.pipeline.files import ConvertedFiles
from omero_adi_plugin.pipeline.gate import FileGate, server_account
from omero_adi_plugin.pipeline.keeping import Keeping
from omero_adi_plugin.pipeline.roots import Roots

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.containers.converters import Converters
    from omero_adi_plugin.importers.plans import FileReader
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.preprocessing import Preprocessing
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.conversions import Conversions


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What converters need besides an order.

    converters:     what runs them.
    conversions:    the record of what they have made of the order's entries.
    attempt, owner: of the lease on it.
    """

    converters: Converters
    conversions: Conversions
    attempt: int
    owner: str

    def files_of(
        self,
        order: Order,
        preprocessing: Preprocessing,
        *,
        session: OmeroSession,
        reader: FileReader,
        settings: Settings,
        from_temp: bool,
        on_wait: Callable[[int, int, float], None],
        check: Callable[[], None],
        watch: Callable[[], None],
        is_open: Callable[[Entry], bool],
        is_there: Callable[[str], bool],
    ) -> ConvertedFiles:
        """Return the files of an order that converters make; the parameters are those of the classes here.

        Raises
        ------
        StorageDown, ConfigurationError
            As `FileGate.of`.
        DatabaseDown
            The record cannot be read.
        """
        roots, account = Roots.of(settings, order.group), server_account(session, settings)
        who = {"group": order.group, "order": order.uuid, "user": order.user}
        converting = Converting(
            order,
            preprocessing,
            attempt=self.attempt,
            owner=self.owner,
            settings=settings,
            converters=self.converters,
            gate=FileGate(roots=roots, reader_account=None, settle_seconds=settings.settle_seconds, **who),
            on_wait=on_wait,
            check=check,
        )
        keeping = Keeping(
            order,
            container=preprocessing.container,
            conversions=self.conversions,
            gate=FileGate(roots=roots, reader_account=account, settle_seconds=0, **who),
            account=account,
            reader=reader,
            settings=settings,
            from_temp=from_temp,
            watch=watch,
        )
        keeping.load()
        return ConvertedFiles(order, converting=converting, keeping=keeping, is_open=is_open, is_there=is_there)
