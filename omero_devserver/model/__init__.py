# SPDX-License-Identifier: GPL-2.0-or-later
"""The OMERO model as data: which entities there are, and what fields they have."""
