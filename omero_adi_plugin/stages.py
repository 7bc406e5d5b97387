# SPDX-License-Identifier: GPL-2.0-or-later
"""Stages: the words that the column `imports.stage` holds.

The constants have the names and values that other programs import and compare with; neither may change.
"""

from typing import Final

STAGE_NEW_ORDER: Final = "Import Pending"
STAGE_INGEST_STARTED: Final = "Import Started"
STAGE_PREPROCESSING: Final = "Import Preprocessing"
STAGE_IMPORTED: Final = "Import Completed"
STAGE_INGEST_FAILED: Final = "Import Failed"
