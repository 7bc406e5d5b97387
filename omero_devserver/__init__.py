# SPDX-License-Identifier: GPL-2.0-or-later
"""A development OMERO server on the real Ice protocol."""
