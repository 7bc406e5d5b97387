# SPDX-License-Identifier: GPL-2.0-or-later
"""Passwords: stored as salted scrypt hashes, never as they are."""

import base64
import hashlib
import hmac
import secrets

# 2**13 · 8 · 128 bytes = 8 MB and some 20 ms a check: enough for a development server, little enough for tests that log in often.
_COST, _BLOCK, _PARALLEL = 2**13, 8, 1


def hash_password(password: str) -> str:
    """Hash with a new salt, as ``scrypt$<salt>$<hash>``, both in base64."""
    salt = secrets.token_bytes(16)
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(_digest(password, salt)).decode()}"


def password_matches(password: str, stored: str) -> bool:
    """Compare in a time that does not tell how much of it was right."""
    _, salt, digest = stored.split("$")
    return hmac.compare_digest(_digest(password, base64.b64decode(salt)), base64.b64decode(digest))


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)
