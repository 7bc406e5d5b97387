# SPDX-License-Identifier: GPL-2.0-or-later
"""Grid: OMERO's own engine for scripts, the Processors: our scripts on a server, and launching them."""
