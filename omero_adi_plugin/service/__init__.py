# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi serve`: takes orders in, hands them to worker processes, and ends in good order."""
