# SPDX-License-Identifier: GPL-2.0-or-later
"""Rendering: from numbers to a picture, without OMERO's objects: ranges, colours, levels, blending, JPEG."""
