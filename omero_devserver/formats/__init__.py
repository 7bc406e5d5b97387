# SPDX-License-Identifier: GPL-2.0-or-later
"""Formats: what a file holds, and its planes."""
