# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading: what is in a file, and which other files belong to it; Bio-Formats says so, in a process of its own."""
