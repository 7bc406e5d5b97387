# SPDX-License-Identifier: GPL-2.0-or-later
"""Passwords of the demo, made anew for each."""

from __future__ import annotations

import secrets


def new_password() -> str:
    """Make a password of 24 hexadecimal digits, which people can give to commands: `-w -x` would be taken for an option."""
    return secrets.token_hex(12)
