# SPDX-License-Identifier: GPL-2.0-or-later
"""Provisioning: what turns a fresh clone into one that runs; the standard library is all it may use."""
