# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO ADI: automated data import for OMERO."""
