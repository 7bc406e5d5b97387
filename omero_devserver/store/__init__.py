# SPDX-License-Identifier: GPL-2.0-or-later
"""The store: OMERO objects in an SQLite file, with OMERO's rules of who may do what."""
