# SPDX-License-Identifier: GPL-2.0-or-later
"""Output: what OMERO's importer prints, read as it comes. It only explains: what was imported, OMERO itself says.

stdout has a YAML document for each fileset that is in OMERO, `- Fileset: 309`, `  Image: [1605]`; stderr has the log, in which a
line `… ErrorHandler - FILE_EXCEPTION: /data/a.tif` and a Java stack trace say why a file was not imported (real server,
recorded).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

LONGEST_DOCUMENT = 1 << 20
"""So many characters a document has at most: a fileset of 100,000 images. What is longer is none."""

_LOGGED = re.compile(r"\[[^\]]{1,40}\] (?:TRACE|DEBUG|INFO|WARN|ERROR) ")
_COMPLAINT = re.compile(r"ErrorHandler - (?P<kind>[A-Z_]{4,40}): (?P<path>/.*)")
_EXCEPTION = re.compile(r"(?:Caused by: )?(?P<name>[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+)(?:: (?P<words>.*))?")
_DOCUMENT = re.compile(r"---|- \w+: |  \w+: |\s*[\d,\s\]\[-]+$")
"""What lines of a document look like; a list of many images may be broken into several."""


@dataclass(slots=True, kw_only=True)
class Complaint:
    """Why a file was not imported, in the importer's words.

    kind:      its own name for it: `FILE_EXCEPTION`, `UNKNOWN_FORMAT`, `INTERNAL_EXCEPTION`.
    exception: the Java class of what was thrown, "" if it does not say.
    words:     what that says.
    """

    kind: str
    exception: str = ""
    words: str = ""

    def __str__(self) -> str:
        return self.words or self.exception.rpartition(".")[2] or self.kind.replace("_", " ").lower()


class Output:
    """Takes the lines of both streams, one after the other.

    Attributes
    ----------
    complaints : dict
        Why files were not imported, by the first line of their path.
    started : bool
        Whether the importer itself has come so far that it writes a log; else Java did not start it.
    last : str
        The last line that says anything, for when nothing else explains why it ended.
    """

    def __init__(self) -> None:
        self.complaints: dict[str, Complaint] = {}
        self.started = False
        self.last = ""
        self._current: Complaint | None = None
        self._document: list[str] = []
        self._filesets: list[int] = []

    def out(self, line: str) -> bool:
        """Take a line of stdout; False if it belongs to the log, which the importer writes there when nobody told it where."""
        if not _DOCUMENT.match(line):
            self.err(line)
            return False
        if line.startswith(("---", "- Fileset:")):
            self._close()
        if sum(map(len, self._document)) + len(line) <= LONGEST_DOCUMENT:
            self._document.append(line)
        return True

    def err(self, line: str) -> None:
        """Take a line of the log."""
        self.started = self.started or bool(_LOGGED.search(line))
        if found := _COMPLAINT.search(line):
            self._current = self.complaints.setdefault(found["path"], Complaint(kind=found["kind"]))
        elif self._current is not None and not self._current.exception and (thrown := _EXCEPTION.fullmatch(line)):
            self._current.exception, self._current.words = thrown["name"], thrown["words"] or ""
        elif _LOGGED.search(line):
            self._current = None
        if line.strip() and not line.startswith(("\tat ", "NOTE: ")):
            self.last = line.strip()

    def end(self) -> None:
        """Say that the importer has come to its own end, so that the last document is whole: after a kill it may be cut short."""
        self._close()

    def new_filesets(self) -> list[int]:
        """Return the ids of filesets that were reported since the last call."""
        reported, self._filesets = self._filesets, []
        return reported

    def complaint(self, path: str) -> Complaint | None:
        """Return what was said of a file; the log has a line for a line of its name."""
        return self.complaints.get(path) or self.complaints.get(path.splitlines()[0])

    def _close(self) -> None:
        """Read the document that has come to its end; one that makes no sense is left out."""
        text, self._document = "\n".join(self._document), []
        try:
            documents = list(yaml.safe_load_all(text))
        except yaml.YAMLError:
            return
        for document in documents:
            for item in document if isinstance(document, list) else ():
                fileset = item.get("Fileset") if isinstance(item, dict) else None
                if isinstance(fileset, int) and not isinstance(fileset, bool) and fileset > 0:
                    self._filesets.append(fileset)
