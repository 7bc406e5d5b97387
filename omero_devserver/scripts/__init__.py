# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts: official ones in a folder, users' own, and the processors that run both."""
