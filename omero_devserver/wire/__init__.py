# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire: Ice, sessions, connections, and how a call becomes a method of ours."""
