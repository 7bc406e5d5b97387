# SPDX-License-Identifier: GPL-2.0-or-later
"""Dialogs: what our scripts for people do, which OMERO.web shows as dialogs; the scripts only name their parameters."""
