# SPDX-License-Identifier: GPL-2.0-or-later
"""Acquisition: instruments and the settings of channels, with everything that describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.sys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call

_INSTRUMENT = (
    *("o.microscope m", "m.type", "o.objective b", "b.immersion", "b.correction", "o.detector d", "d.type", "o.filter f"),
    *("f.type", "f.transmittanceRange", "o.filterSet s", "s.dichroic", "o.dichroic", "o.otf t", "t.pixelsType"),
    *("t.objective e", "e.immersion", "e.correction", "t.filterSet", "o.lightSource"),
)
_CHANNEL = (
    *("o.mode", "o.illumination", "o.contrastMethod", "o.photometricInterpretation", "o.detectorSettings d", "d.detector e"),
    *("e.type", "d.binning", "o.lightSourceSettings l", "l.lightSource", "l.microbeamManipulation", "o.otf t", "t.pixelsType"),
    *("t.objective b", "b.immersion", "b.correction", "t.filterSet", "o.filterSet s", "s.dichroic", "o.lightPath p"),
    *("p.dichroic", "p.emissionFilterLink m", "m.child n", "n.transmittanceRange", "n.type"),
    *("p.excitationFilterLink x", "x.child y", "y.transmittanceRange", "y.type"),
)


def instrument(call: Call, identifier: int) -> Any:
    """Load an instrument with its parts; None where it is missing."""
    found = _load(call, "Instrument", _INSTRUMENT, [identifier])
    return found[0] if found else None


def channels(call: Call, ids: Sequence[int]) -> list[Any]:
    """Load logical channels with detector, light, filters and lenses."""
    return _load(call, "LogicalChannel", _CHANNEL, ids)


def _load(call: Call, kind: str, fetched: Sequence[str], ids: Sequence[int]) -> list[Any]:
    joins = " ".join(f"left outer join fetch {path}" for path in fetched)
    hql = f"select o from {kind} o {joins} where o.id in (:ids) order by o.id"
    found: list[Any] = call.server.store.objects(call.user, hql, omero.sys.ParametersI().addIds(ids))
    return found
