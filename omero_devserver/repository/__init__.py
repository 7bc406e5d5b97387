# SPDX-License-Identifier: GPL-2.0-or-later
"""The managed repository: files below the template folders, and importing them."""
