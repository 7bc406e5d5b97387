# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of this package, in a file that setup can read without importing anything else."""

__version__ = "0.1.0"
