# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands: what people type. One module a subcommand: it parses nothing, calls what does the work, and prints."""
