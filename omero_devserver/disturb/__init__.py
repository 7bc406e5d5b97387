# SPDX-License-Identifier: GPL-2.0-or-later
"""Disturb: faults on demand, for tests of software that must live with them."""
