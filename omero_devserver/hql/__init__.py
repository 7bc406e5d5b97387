# SPDX-License-Identifier: GPL-2.0-or-later
"""HQL, Hibernate's query language, as OMERO clients write it: read and translated to SQL."""
