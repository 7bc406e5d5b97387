# SPDX-License-Identifier: GPL-2.0-or-later
"""Import Status: where orders for imports stand, from OMERO.web.

Whatever is read by users stays out of this file: where the orders are kept stands in the settings of the host on which the
Processor runs.
"""

import socket
import sys

from omero import scripts
from omero.rtypes import rstring

STATES = ["all", "waiting", "running", "completed", "failed", "cancelled"]


def run_script():
    """Tell where orders stand, and attach a table of them."""
    client = scripts.client(
        "Import_Status.py",
        "Tells where your orders for imports stand, and attaches a table of them, which replaces the one of the last time.",
        scripts.String("Order", grouping="1", description="The number of one order, to see what became of each of its files."),
        scripts.String(
            "State",
            grouping="2",
            values=[rstring(state) for state in STATES],
            default="all",
            description="Only orders that stand so.",
        ),
        scripts.Int("Limit", grouping="3", default=50, min=1, max=500, description="How many orders, the newest first."),
        scripts.String("User", grouping="4", description="For administrators: only the orders of this user."),
        version="0.1.0",
        authors=["The developers of OMERO ADI"],
        contact="the administrator of your OMERO",
    )
    try:
        done = dialog(client)
    finally:
        client.closeSession()
    sys.exit(0 if done else 1)


def dialog(client):
    """Return whether all was done; the message is set by then."""
    try:
        from omero_adi_plugin.dialogs import run, status  # late: parameters are asked for on Processors without it
    except ImportError as error:
        client.setOutput(
            "Message",
            rstring(
                f"The Processor on {socket.gethostname()} cannot look at orders for imports: {error}. Tell your administrator:"
                " omero-adi-plugin has to be installed there, in the Python of OMERO.server."
            ),
        )
        return False
    return run.run(client, status.import_status)


if __name__ == "__main__":
    run_script()
