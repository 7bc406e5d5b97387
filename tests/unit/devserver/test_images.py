# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of an import: their names, and values that the model does not have."""

from __future__ import annotations

from collections.abc import Sequence

import omero.grid
import pytest
from omero.rtypes import rstring

from omero_devserver.formats.values import Channel, Found, Picture, Quantity
from omero_devserver.repository.images import name_of_image
from omero_devserver.repository.values import Values, length, time
from omero_devserver.store.store import Store


def found(names: Sequence[str | None], main: str = "file.lif") -> Found:
    pictures = tuple(
        Picture(
            name=name,
            size_x=1,
            size_y=1,
            size_z=1,
            size_c=1,
            size_t=1,
            pixels_type="uint8",
            significant_bits=8,
            order="XYZCT",
            channels=(Channel(),),
            sizes={},
        )
        for name in names
    )
    kind = {"reader": "loci.formats.in.LIFReader", "format": "LIF"}
    return Found(pictures=pictures, plates=(), notes=(), graphics=False, main=main, used=(), **kind)


def names(told: Found, chosen: str | None = None) -> list[str]:
    settings = omero.grid.ImportSettings()
    settings.userSpecifiedName = None if chosen is None else rstring(chosen)
    return [name_of_image(told, series, settings) for series in range(len(told.pictures))]


@pytest.mark.parametrize(("chosen", "name"), [(None, "file.lif"), ("", "file.lif"), ("  ", "file.lif"), (" mine ", "mine")])
def test_a_single_image_is_called_as_chosen_or_after_its_file(chosen: str | None, name: str) -> None:
    assert names(found(["own name"]), chosen) == [name]


def test_of_several_images_one_without_a_name_is_called_by_its_number() -> None:
    assert names(found([" a ", None, " "])) == ["file.lif [a]", "file.lif [1]", "file.lif [2]"]


def test_a_long_name_keeps_its_end() -> None:
    (name, _) = names(found(["a", "b"], main="x" * 300))
    assert (len(name), name[0], name[-5:]) == (255, "…", "x [a]")


def test_a_unit_that_the_model_does_not_have_leaves_the_length_out() -> None:
    assert length(Quantity(value=1.0, unit="parsnip")) is None
    assert str(length(Quantity(value=1.0, unit="reference frame")).getUnit()) == "REFERENCEFRAME"
    assert str(time(Quantity(value=1.0, unit="ms")).getUnit()) == "MILLISECOND"


def test_a_value_that_an_enumeration_lacks_is_another_or_none_and_a_format_is_added(store: Store) -> None:
    values = Values(store)
    other = store.enumeration("Immersion", "Other")
    assert values.enumeration("Immersion", "Ketchup", "Other").id.val == other
    assert values.enumeration("Immersion", "Ketchup") is None
    added = values.format("Brandnew").id.val
    assert added == store.enumeration("Format", "Brandnew") == Values(store).format("Brandnew").id.val
