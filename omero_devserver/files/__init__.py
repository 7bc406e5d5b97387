# SPDX-License-Identifier: GPL-2.0-or-later
"""Files: what lies on the server's disk, and its checksums."""
