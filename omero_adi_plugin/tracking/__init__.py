# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracking: the database. Orders come in through `imports`, are queued in `adi_order`, and leave their trail in `imports`.

Nothing outside this package touches SQLAlchemy, psycopg2 or Alembic; errors of theirs that a caller can answer become ours.
"""
