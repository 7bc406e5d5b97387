# SPDX-License-Identifier: GPL-2.0-or-later
"""Chaos: many orders, and meanwhile everything is killed that can be; in the end each file is in OMERO exactly once."""
