# SPDX-License-Identifier: GPL-2.0-or-later
"""Retry Or Cancel Import: order an import again, or call it off, from OMERO.web.

Whatever is read by users stays out of this file: where the orders are kept stands in the settings of the host on which the
Processor runs.
"""

import socket
import sys

from omero import scripts
from omero.rtypes import rstring


def run_script():
    """Order again, or call off."""
    client = scripts.client(
        "Retry_Or_Cancel_Import.py",
        "Orders imports of yours again, of which only what is missing is imported then, or calls them off. What is in OMERO stays"
        " there.",  # in one line: OMERO.web would break it where the text does
        scripts.String(
            "Action",
            optional=False,
            grouping="1",
            values=[rstring("Retry"), rstring("Cancel")],
            default="Retry",
            description="What is to be done with the orders.",
        ),
        scripts.String(
            "Orders",
            optional=False,
            grouping="2",
            description='The numbers of the orders, as "Import Status" shows them; several with a comma between them.',
        ),
        scripts.Bool(
            "Import_Again",
            grouping="3",
            default=False,
            description="At Retry: import again also what was imported and has been deleted since.",
        ),
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
        from omero_adi_plugin.dialogs import changing, run  # late: parameters are asked for on Processors without it
    except ImportError as error:
        client.setOutput(
            "Message",
            rstring(
                f"The Processor on {socket.gethostname()} cannot change orders for imports: {error}. Tell your administrator:"
                " omero-adi-plugin has to be installed there, in the Python of OMERO.server."
            ),
        )
        return False
    return run.run(client, changing.retry_or_cancel)


if __name__ == "__main__":
    run_script()
