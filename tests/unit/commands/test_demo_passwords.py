# SPDX-License-Identifier: GPL-2.0-or-later
"""Passwords of the demo can be typed after `-w`."""

from __future__ import annotations

import re

from omero_adi_plugin.commands.demo.passwords import new_password


def test_a_password_is_no_option_and_new_each_time() -> None:
    made = {new_password() for _ in range(300)}
    assert len(made) == 300
    assert all(re.fullmatch("[0-9a-f]{24}", password) for password in made)
