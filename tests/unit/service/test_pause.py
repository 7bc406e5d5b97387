# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a worker leaves the surroundings alone."""

from omero_adi_plugin.service.worker import pause_seconds


def test_while_omero_is_away_it_looks_again_after_the_same_pause() -> None:
    assert [pause_seconds(10, in_vain=0) for _ in range(3)] == [10, 10, 10]


def test_with_each_order_claimed_in_vain_the_pause_grows_up_to_a_limit() -> None:
    assert [pause_seconds(10, in_vain=count) for count in (1, 2, 3, 4, 5, 6, 7, 5000)] == [10, 20, 40, 80, 160, 300, 300, 300]
