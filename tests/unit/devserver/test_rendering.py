# SPDX-License-Identifier: GPL-2.0-or-later
"""Rendering: levels, colours, windows, blending, projections, as arrays."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omero_devserver.rendering.colours import BLUE, GREEN, RED, WHITE, Colour, Light, first_colours
from omero_devserver.rendering.levels import Curve, levels
from omero_devserver.rendering.picture import blended, fitting, jpeg, packed, scaled
from omero_devserver.rendering.projections import Projection, projected
from omero_devserver.rendering.ranges import Window, first_window, type_range, usable_window


@pytest.mark.parametrize(
    ("kind", "bits", "expected"),
    [
        ("uint8", None, (0, 255)),
        ("uint16", 12, (0, 4095)),
        ("uint16", 40, (0, 65535)),
        ("int8", None, (-128, 127)),
        ("float", 32, (-(2**31), 2**31 - 1)),
        ("bit", None, (0, 1)),
    ],
)
def test_a_type_has_a_range(kind: str, bits: int | None, expected: tuple[float, float]) -> None:
    assert type_range(kind, bits) == expected


def test_a_channel_of_one_value_shows_the_whole_range() -> None:
    whole = type_range("uint8")
    assert first_window(whole, Window(7, 7)) == whole
    assert first_window(whole, None) == whole
    assert first_window(whole, Window(7, 9)) == Window(7, 9)


def test_a_window_stays_within_the_type() -> None:
    whole = type_range("uint8")
    assert usable_window("uint8", whole, Window(-5, 100)) == Window(0, 100)
    assert usable_window("uint8", whole, Window(100, 5)) == whole
    assert usable_window("uint8", whole, Window(-100, 400)) == whole
    assert usable_window("float", type_range("float"), Window(-0.5, 0.5)) == Window(-0.5, 0.5)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "u4", "f4", "f8"])
def test_values_between_the_ends_of_the_window_become_evenly_brighter(dtype: str) -> None:
    values = np.array([[0, 10, 20, 30, 60, 110, 120]], dtype)
    shown = levels(values, Curve(window=Window(10, 110)))
    assert shown.dtype == np.uint8
    assert shown.tolist() == [[0, 0, 26, 51, 128, 255, 255]]


def test_values_below_zero_are_shown() -> None:
    assert levels(np.array([[-100, 0, 100]], "i1"), Curve(window=Window(-100, 100))).tolist() == [[0, 128, 255]]


def test_undefined_and_infinite_values_are_shown_somehow() -> None:
    shown = levels(np.array([[np.nan, np.inf, -np.inf]], "f4"), Curve(window=Window(0, 1)))
    assert shown.tolist() == [[0, 255, 0]]


def test_curves_bend_and_keep_their_ends() -> None:
    values = np.array([[0, 64, 128, 255]], "u1")
    shown: dict[str, Any] = {}
    for family, coefficient in (("linear", 1.0), ("polynomial", 2.0), ("logarithmic", 1.0), ("exponential", 1.0)):
        curve = Curve(window=Window(0, 255), family=family, coefficient=coefficient)
        shown[family] = levels(values, curve)[0].tolist()
        assert shown[family][0] == 0
        assert shown[family][-1] == 255
    assert shown["linear"] == [0, 64, 128, 255]
    assert shown["polynomial"] == [0, 16, 64, 255]
    assert shown["logarithmic"][1] > 180
    assert shown["exponential"][2] == 0


def test_brightness_can_be_inverted_and_kept_within_less_than_the_scale() -> None:
    values = np.array([[0, 255]], "u1")
    assert levels(values, Curve(window=Window(0, 255), inverted=True)).tolist() == [[255, 0]]
    assert levels(values, Curve(window=Window(0, 255), darkest=10, brightest=200)).tolist() == [[10, 200]]


def test_the_colour_of_the_file_counts_before_the_wavelength_and_that_before_the_turn() -> None:
    assert first_colours([Light(), Light(), Light(), Light()]) == [RED, GREEN, BLUE, RED]
    assert first_colours([Light(own=Colour(1, 2, 3, 4)), Light()]) == [Colour(1, 2, 3, 4), GREEN]
    waves = (450.0, 500.0, 559.0, 560.0)
    assert first_colours([Light(emission_nm=wave) for wave in waves]) == [BLUE, GREEN, GREEN, RED]
    assert first_colours([Light(excitation_nm=488.0)]) == [BLUE]


def test_a_channel_without_emission_beside_others_with_it_is_white() -> None:
    assert first_colours([Light(emission_nm=520.0), Light()]) == [GREEN, WHITE]


def test_channels_add_up_to_white_and_not_beyond() -> None:
    full = np.full((1, 1), 255, np.uint8)
    half = np.full((1, 1), 128, np.uint8)
    assert blended([(full, RED), (half, GREEN)]).tolist() == [[[255, 128, 0]]]
    assert blended([(full, RED), (half, Colour(255, 255, 255))]).tolist() == [[[255, 128, 128]]]
    assert blended([(full, Colour(255, 0, 0, 0))]).tolist() == [[[0, 0, 0]]]


def test_a_packed_pixel_is_a_number_as_java_has_it() -> None:
    assert packed(np.array([[[255, 1, 2]]], np.uint8)) == [0xFFFF0102 - 2**32]


def test_a_thumbnail_has_the_proportions_of_its_image_and_no_empty_side() -> None:
    assert fitting(200, 100, 96) == (96, 48)
    assert fitting(100, 200, 96) == (48, 96)
    assert fitting(5000, 1, 96) == (96, 1)
    picture = scaled(np.zeros((100, 200, 3), np.uint8), 96, 48)
    assert Image.open(io.BytesIO(jpeg(picture))).size == (96, 48)


@pytest.mark.parametrize(("kind", "expected"), [(Projection.MAXIMUM, 30), (Projection.MEAN, 15), (Projection.SUM, 30)])
def test_a_stack_is_projected(kind: Projection, expected: int) -> None:
    planes = [np.full((2, 3), value, "u1") for value in (10, 20, 30)]
    shown = projected(kind, planes.__getitem__, sections=(0, 2, 1), dtype=np.dtype("u1"))
    assert shown.tolist() == [[expected] * 3] * 2


def test_a_sum_beyond_the_type_is_cut() -> None:
    planes = [np.full((1, 1), 200, "u1")] * 3
    assert projected(Projection.SUM, planes.__getitem__, sections=(0, 2, 1), dtype=np.dtype("u1")).tolist() == [[255]]
