# SPDX-License-Identifier: GPL-2.0-or-later
"""One order from claim to outcome, as steps that can be resumed: preflight, import, annotate.

The pipeline takes a *given* OMERO session and never logs in by itself: the same code runs in a worker of the service, in
`omero adi import`, and wherever else a session for the order's user can be had.
"""
