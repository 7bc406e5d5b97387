# SPDX-License-Identifier: GPL-2.0-or-later
"""Run Import Orders: what a service of omero-adi-plugin with `dispatch: grid` launches on OMERO's Processors.

Whatever is read by users stays out of this file: where the database is, and how to get in, stands in the settings of the host on
which the Processor runs.
"""

import socket

from omero import scripts
from omero.rtypes import rstring


def run_script():
    """Carry out the order that this was launched for, and others of the same user."""
    client = scripts.client(
        "Run_Import_Orders.py",
        "Carries out import orders on this Processor. The import service starts it by itself, and there is no use in starting"
        ' it by hand: to order an import, run "Import Files".',
        scripts.String("Order", optional=False, grouping="1", description="The order that the service has launched this for."),
        scripts.String("Token", optional=False, grouping="2", description="What the service proves by that it was it."),
        version="0.1.0",
        authors=["The developers of OMERO ADI"],
        contact="the administrator of your OMERO",
    )
    try:
        client.setOutput("Message", rstring(carry_out(client)))
    finally:
        client.closeSession()


def carry_out(client):
    """Return what there is to say of it."""
    try:
        from omero_adi_plugin.service import scripted  # late: parameters are asked for on Processors that cannot do this
    except ImportError as error:
        return (
            f"The Processor on {socket.gethostname()} cannot carry out import orders: {error}. Install omero-adi-plugin there, in"
            " the Python of OMERO.server."
        )
    return scripted.run(client, order=client.getInput("Order", unwrap=True), token=client.getInput("Token", unwrap=True))


if __name__ == "__main__":
    run_script()
