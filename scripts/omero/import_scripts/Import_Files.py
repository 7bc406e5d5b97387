# SPDX-License-Identifier: GPL-2.0-or-later
"""Import Files: order an import of files that the server sees, from OMERO.web.

Whatever is read by users stays out of this file: what the order goes to stands in the settings of the host on which the Processor
runs.
"""

import socket
import sys

from omero import scripts
from omero.rtypes import rlong, rstring


def run_script():
    """Order the import, and wait for the images if that is wanted."""
    client = scripts.client(
        "Import_Files.py",
        "Imports files that lie on the storage of the server, without copying them. The import goes on by itself when this script"
        " has ended.",  # in one line: OMERO.web would break it where the text does
        scripts.String(
            "Data_Type",
            optional=False,
            grouping="1",
            values=[rstring("Dataset"), rstring("Screen")],
            default="Dataset",
            description="Images go into a Dataset, plates into a Screen.",
        ),
        scripts.List(
            "IDs", optional=False, grouping="2", description="The one Dataset or Screen to import into: choose it before."
        ).ofType(rlong(0)),
        scripts.String(
            "Paths",
            optional=False,
            grouping="3",
            description="Files, folders or patterns like /data/day1/*.tif as the server calls them, several with ; between them."
            " What does not begin with / is looked for in the folders of the group.",
        ),
        scripts.Bool(
            "One_Order",
            grouping="4",
            default=True,
            description="All in one order; else each file or folder in an order of its own, of which each can be called off.",
        ),
        scripts.Bool(
            "Wait_For_Images",
            grouping="5",
            default=True,
            description="Show the images when they are there. The import goes on by itself in any case.",
        ),
        scripts.String(
            "Converter", grouping="6", description="The container image that is to convert the files first; usually none."
        ),
        scripts.String(
            "Converter_Parameters", grouping="7", description="What it is to be told: name=value, several with ; between them."
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
        from omero_adi_plugin.dialogs import importing, run  # late: parameters are asked for on Processors without it
    except ImportError as error:
        client.setOutput(
            "Message",
            rstring(
                f"The Processor on {socket.gethostname()} cannot take orders for imports: {error}. Tell your administrator:"
                " omero-adi-plugin has to be installed there, in the Python of OMERO.server."
            ),
        )
        return False
    return run.run(client, importing.import_files)


if __name__ == "__main__":
    run_script()
