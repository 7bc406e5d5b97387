# SPDX-License-Identifier: GPL-2.0-or-later
"""Dialogs: what the OMERO.scripts for people do. Their files are in scripts/omero/import_scripts and only name the parameters.

run        a dialog from its parameters to its message, whatever goes wrong
person     who asks, and whose orders are in reach
wording    how errors and what commands say are told in OMERO.web
importing  "Import Files": checks, orders, waits
paths      the files that somebody has named
request    what was asked for with them
results    what came of orders: the message, the images
status     "Import Status": a list of orders, or one
sheet      the table that is attached
changing   "Retry Or Cancel Import"
"""
