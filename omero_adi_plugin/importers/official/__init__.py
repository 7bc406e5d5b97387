# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO's own importer, in Java: one call brings in many filesets, and OMERO is asked afterwards what came of it."""
