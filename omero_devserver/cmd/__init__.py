# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests: work that is submitted, runs by itself and is watched through a handle."""
