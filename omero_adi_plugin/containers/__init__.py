# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers: running a converter with podman, and reading what it has made."""
