# SPDX-License-Identifier: GPL-2.0-or-later
"""Child: the program that opens files with Bio-Formats, one after the other. `process` runs it; nobody imports it.

Started as `child.py LIBJVM HEAP_MB JAR…`, it says once `{"version": …}`, or `{"cannot": why}` and ends. Then it reads one JSON
object a line, `{"read": path}`, and answers each with one: `{"used", "reader", "format", "images", "plates"}`, or
`{"failure": kind, "words": …}`, of a broken file with the `members` of its set, if that is not whole. `{"ahead": [path, …]}` it
answers with `{"answers": [answer, …]}`, where those of files that it has not opened are empty. It ends with its input,
and by its lifeline with its parent, also while it opens a file. It needs the standard library and JPype only.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import sys
import time
from contextlib import suppress
from typing import Any, TypeAlias

import jpype

Java: TypeAlias = Any
"""An object or a class of Java; JPype has no types for them."""

OPTIONS = (
    "-Xrs",  # signals stay with Python
    # Java guards the end of what it takes for the main thread's stack, 1 MB by default: Python 3.12 and later may go deeper.
    "-Xss8m",
    "-Djava.awt.headless=true",
    "-XX:+UseSerialGC",  # a small collector and quickly compiled code: half the start, and less for each file before the 1000th
    "-XX:TieredStopAtLevel=1",
    # Compiled after a twentieth of the usual calls: the start takes 0.07 s more, and small TIFFs cost from the 100th on what they
    # would cost from the 1000th on.
    "-XX:CompileThresholdScaling=0.05",
    "-XX:+ExitOnOutOfMemoryError",  # with status 3; what is left of a machine without memory is not to be trusted
    # No files in /tmp: each child would leave one there when it is killed.
    "-XX:+DisableAttachMechanism",
    "-XX:-UsePerfData",
    "-XX:+SuppressFatalErrorMessage",  # nor a report of 100 kB in the working directory when native code crashes
)

FIRST_HEAP_MB = 72
"""What Java begins with. With its own choice, 1/64 of the host's memory, a child took 210 MB for small TIFFs, with this one 150;
with 24 MB 110, and a fifth more time for each, as it collects a MB for each. Half of it is for what is new, not the
third that Java would take."""

BUFFER_BYTES = 2048
"""So much Bio-Formats reads at a time when it looks at metadata. Dozens of readers look at each file, each through a buffer of
its own: with the buffer that it would take, small TIFFs take a third more time, and a stack of 2,000 planes twice as much."""

LAST_WORDS = frozenset({"memory", "error"})
"""Kinds of failure after which the machine is not to be trusted."""

AHEAD_SECONDS = 0.25
"""So long it opens one file after the other without being asked about each: nobody is to wait for the first of them."""

LISTED_SECONDS = 1.0
"""So long the listing of a folder is good for, if the folder has not changed."""

RESTING_SECONDS = 2.0
"""A folder that has changed within so many seconds is listed for each file: its time is too coarse for the next change."""

LONGEST_WORDS = 200
"""So many characters of what Java says are for people."""

_CLASS = re.compile(r"(?:[a-z]\w*\.)+[A-Z]\w*: ")
"""What an exception puts before the words of another that it was made of."""

_FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^/\s]+/)+")
"""The folders of a path in somebody else's sentence."""


def main(library: str, heap_mb: str, *class_path: str) -> None:
    """Serve until the input ends; the arguments are those of the program."""
    answers = _own_output()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        formats, files = _start(library, heap_mb, class_path)
    except Exception as error:  # noqa: BLE001  JPype raises what it and Java think of: OSError, TypeError, exceptions of Java
        _say(answers, {"cannot": " ".join(f"{type(error).__name__}: {error}".split())})
        return
    _say(answers, {"version": str(formats.FormatTools.VERSION)})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "ahead" in asked:
            told = files.ahead(asked["ahead"])
            _say(answers, {"answers": told})
        else:
            told = [files.answer(asked["read"])]
            _say(answers, told[0])
        if told[-1].get("failure") in LAST_WORDS:
            return  # the next file gets a machine that is whole


class Files:
    """Opens files with one reader for all, made as OMERO makes it: reduced resolutions are no images of their own.

    A failure counts once a new reader has failed too: some keep something of the file before (`FilePatternReader` fails when
    it reads the same file again).
    """

    def __init__(self, loci: Java) -> None:
        self._loci, self._formats = loci, loci.formats
        self._listings = _Listings(loci.common.Location)
        self._is_used = False
        self._renew()

    def answer(self, path: str) -> dict[str, Any]:
        """Say what is in a file, or why that cannot be said."""
        self._listings.look(path)
        was_used, self._is_used = self._is_used, True
        try:
            return self._answer(path)
        except jpype.JException as error:
            failure = _failure(error, path, self._formats)
        finally:
            self._close()
        if failure["failure"] in LAST_WORDS:
            return failure
        if not was_used:
            return failure | {"members": self._members(path)} if failure["failure"] == "broken" else failure
        self._renew()
        return self.answer(path)

    def ahead(self, paths: list[str]) -> list[dict[str, Any]]:
        """Say the same of several files, nothing of those that one before them has in its set, and of what comes too late."""
        answers: list[dict[str, Any]] = []
        used: set[str] = set()
        until = time.monotonic() + AHEAD_SECONDS
        for path in paths:
            if path in used or (answers and time.monotonic() > until):
                answers.append({})
                continue
            answer = self.answer(path)
            answers.append(answer)
            used.update(answer.get("used") or answer.get("members", ()))
            if answer.get("failure") in LAST_WORDS:
                break
        return answers

    def _answer(self, path: str) -> dict[str, Any]:
        reader = self._reader
        try:
            kind = reader.getReader(path)
        except self._formats.UnknownFormatException:
            return {"failure": "unknown", "words": "no reader knows this format"}
        reader.setId(path)
        formats = self._formats
        return {
            "used": _used(reader, path),
            "reader": str(kind.getClass().getName()),
            "format": str(kind.getFormat()),
            "images": int(reader.getSeriesCount()),
            "plates": self._plates(kind, path) if formats.FormatTools.HCS_DOMAIN in list(kind.getDomains()) else 0,
        }

    def _plates(self, kind: Java, path: str) -> int:
        """Read again, for the metadata that say which plates there are; they are not made for other files, as they cost time."""
        service = self._loci.common.services.ServiceFactory().getInstance(self._formats.services.OMEXMLService.class_)
        metadata = service.createOMEXMLMetadata()
        kind.close()
        kind.setMetadataStore(metadata)
        try:
            kind.setId(path)
            return int(metadata.getPlateCount())
        finally:
            kind.close()
            kind.setMetadataStore(self._formats.meta.DummyMetadata())

    def _members(self, path: str) -> list[str]:
        """List the files of an OME-TIFF set of which some are missing: each of the others would fail in the same way."""
        kind = jpype.JClass("loci.formats.in.OMETiffReader")
        options = jpype.JClass("loci.formats.in.DynamicMetadataOptions")()
        options.setBoolean(kind.FAIL_ON_MISSING_KEY, jpype.java.lang.Boolean.FALSE)
        reader = kind()
        reader.setMetadataOptions(options)
        try:
            if not reader.isThisType(path):
                return []
            reader.setId(path)
            return _used(reader, path)
        except jpype.JException:  # it is broken otherwise
            return []
        finally:
            with suppress(jpype.JException):
                reader.close()

    def _close(self) -> None:
        try:
            self._reader.close()
        except jpype.JException:
            self._renew()

    def _renew(self) -> None:
        self._reader, self._is_used = self._formats.ImageReader(), False
        self._reader.setFlattenedResolutions(False)
        self._reader.setMetadataFiltered(True)


class _Listings:
    """Lets Bio-Formats keep the listing of a folder: its TIFF reader lists it for each file, 2 ms with 3,000 files in it."""

    def __init__(self, location: Java) -> None:
        self._location = location
        location.cacheDirectoryListings(True)  # noqa: FBT003  Java
        self._of: tuple[str, int] | None = None
        self._until = 0.0

    def look(self, path: str) -> None:
        """Forget what was listed, unless it is as it would be listed now."""
        folder = os.path.dirname(path)  # noqa: PTH120  half the cost of the whole look with pathlib
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116  the same
        except OSError:
            changed = 0
        now = time.monotonic()
        if self._of == (folder, changed) and now < self._until and time.time() - changed / 1e9 > RESTING_SECONDS:
            return
        self._location.clearDirectoryListingsCache()
        self._of, self._until = (folder, changed), now + LISTED_SECONDS


def _used(reader: Java, path: str) -> list[str]:
    """List the files that are read together, the one to open first, as OMERO's ImportCandidates puts them."""
    folder = os.path.dirname(path)  # noqa: PTH120  see above
    used = dict.fromkeys(os.path.join(folder, str(each)) for each in reader.getUsedFiles())  # noqa: PTH118  see above
    first = os.path.join(folder, str(reader.getCurrentFile()))  # noqa: PTH118  see above
    if first in used or not used:
        used = {first: None} | used
    return list(used)


def _failure(error: Java, path: str, formats: Java) -> dict[str, Any]:
    """Put an exception of Java into a kind and words without the machine's folders."""
    java = jpype.JPackage("java")
    name = str(error.getClass().getSimpleName())
    words = _words(error, path)
    if _has_cause(error, java.lang.OutOfMemoryError):
        return {"failure": "memory", "words": words}
    if isinstance(error, java.lang.Error):
        return {"failure": "error", "words": f"{name}: {words}" if words else name}
    unsupported = formats.UnknownFormatException, formats.MissingLibraryException, formats.UnsupportedCompressionException
    if isinstance(error, unsupported):
        return {"failure": "unknown", "words": words or "no reader knows this kind of the format"}
    if isinstance(error, java.io.EOFException):
        return {"failure": "broken", "words": "it ends too early"}
    if isinstance(error, java.lang.RuntimeException) or not words:
        return {"failure": "broken", "words": f"its reader stumbles over it ({name}{f': {words}' if words else ''})"}
    return {"failure": "broken", "words": words}


def _has_cause(error: Java, kind: Java) -> bool:
    for _ in range(100):  # a chain may be a ring
        if error is None or isinstance(error, kind):
            break
        error = error.getCause()
    return error is not None and isinstance(error, kind)


def _words(error: Java, path: str) -> str:
    """Give the first line of what an exception says, which may be full of the file's own bytes."""
    told = _CLASS.sub("", str(error.getMessage() or "").strip()).partition("\n")[0]
    folder = os.path.dirname(path).rstrip("/")  # noqa: PTH120  see above
    told = " ".join(_FOLDERS.sub("", told.replace(f"{folder}/", "")).split())
    return "".join(each if each.isprintable() else "?" for each in told[:LONGEST_WORDS]).rstrip(".")


def _start(library: str, heap_mb: str, class_path: tuple[str, ...]) -> tuple[Java, Files]:
    first = min(FIRST_HEAP_MB, int(heap_mb))
    heap = f"-Xms{first}m", f"-Xmx{heap_mb}m", f"-XX:NewSize={first // 2}m"
    jpype.startJVM(library, *OPTIONS, *heap, classpath=list(class_path), convertStrings=False)
    # One reader of TIFFs parses each description as XML, and Java looks through all jars for a parser each time, 0.1 ms, unless
    # it is told the one that it would find.
    parsers = "javax.xml.parsers.SAXParserFactory"
    jpype.java.lang.System.setProperty(parsers, jpype.JClass(parsers).newInstance().getClass().getName())
    loci = jpype.JPackage("loci")
    loci.common.DebugTools.setRootLevel("OFF")
    loci.common.NIOFileHandle.setDefaultBufferSize(BUFFER_BYTES)
    gc.freeze()  # JPype has Python collect whenever Java does; what is here now stays, and need not be gone through each time
    return loci.formats, Files(loci)


def _own_output() -> int:
    """Keep the output for answers: whatever else writes to it, Java or a native library, writes to stderr instead."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _say(answers: int, answer: dict[str, Any]) -> None:
    content = memoryview(json.dumps(answer).encode("ascii") + b"\n")
    while content:
        content = content[os.write(answers, content) :]


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception:  # noqa: BLE001  written to the log by the parent, who sees the status too
        sys.excepthook(*sys.exc_info())
        os._exit(os.EX_SOFTWARE)
    os._exit(os.EX_OK)  # the machine of Java is not wound up: nothing of it is needed, and that may hang
