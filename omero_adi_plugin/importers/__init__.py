# SPDX-License-Identifier: GPL-2.0-or-later
"""Importers: how one entry of an order gets into OMERO, and what is known of it there afterwards."""
