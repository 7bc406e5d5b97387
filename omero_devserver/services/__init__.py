# SPDX-License-Identifier: GPL-2.0-or-later
"""The services: what OMERO's API interfaces do, one interface a module."""
