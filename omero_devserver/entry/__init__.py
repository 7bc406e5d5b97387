# SPDX-License-Identifier: GPL-2.0-or-later
"""Entry: where a client logs in, and which services it finds."""

# Before Glacier2, whoever imports it first: omero's generated code loads Glacier2's a second time, and Ice then does not
# know the exceptions of the first as declared ones.
import omero.all  # noqa: F401
