# SPDX-License-Identifier: GPL-2.0-or-later
"""Passwords: stored as salted scrypt hashes, never as they are."""

import base64
import hashlib
import hmac
import secrets

# 2**10 · 8 · 128 bytes = 1 MB and some 2 ms a check: enough for throw-away accounts, little enough for tests that log in often.
# With 2**13, checking passwords was three quarters of what logging in costs.
_COST, _BLOCK, _PARALLEL = 2**10, 8, 1


def hash_password(password: str) -> str:
    """Hash with a new salt, as ``scrypt:<cost>$<salt>$<hash>``, the last two in base64."""
    salt = secrets.token_bytes(16)
    return f"scrypt:{_COST}${base64.b64encode(salt).decode()}${base64.b64encode(_digest(password, salt, _COST)).decode()}"


def password_matches(password: str, stored: str) -> bool:
    """Compare in a time that does not tell how much of it was right."""
    name, salt, digest = stored.split("$")
    cost = int(name.partition(":")[2] or 2**13)  # what those of data folders had that were made before it was written down
    return hmac.compare_digest(_digest(password, base64.b64decode(salt), cost), base64.b64decode(digest))


def _digest(password: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=_BLOCK, p=_PARALLEL)
