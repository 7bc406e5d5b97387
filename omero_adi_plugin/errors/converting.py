# SPDX-License-Identifier: GPL-2.0-or-later
"""Converting: trouble with converters: of the order, of one entry, or of the host that runs them."""

from __future__ import annotations

from omero_adi_plugin.errors.base import quoted
from omero_adi_plugin.errors.entries import EntryFailed
from omero_adi_plugin.errors.orders import OrderFailed
from omero_adi_plugin.errors.passing import EntryNotReady, TryAgain

LONGEST_IMAGE = 120
"""So many characters of an image's name a sentence has room for."""


class ConverterNotAllowed(OrderFailed):
    """The order asks for a converter that the site does not let run."""

    def __init__(self, *, container: str) -> None:
        super().__init__(
            f"The converter {_image(container)} may not run here. Choose one that may, or ask your facility's administrator, "
            "who allows images by `containers: allow:` in the settings."
        )
        self.container = container


class ConverterMissing(OrderFailed):
    """There is no such image; `words` are podman's."""

    def __init__(self, *, container: str, words: str) -> None:
        super().__init__(
            f"The converter {_image(container)} cannot be had: {words}. Correct its name and order again; if it is right, ask "
            "your facility's administrator."
        )
        self.container, self.words = container, words


class ConverterFailed(EntryFailed):
    """A converter could not do it; `why` is a clause that ends with its own last words, if it has said any."""

    def __init__(self, *, path: str, container: str, why: str) -> None:
        super().__init__(
            f"The converter {_image(container)} could not convert {quoted(path)}: {why}. The order's log has all that it said."
        )
        self.path, self.container, self.why = path, container, why


class ConverterLied(EntryFailed):
    """What a converter says that it has made is not there, or not fit to be imported.

    why:    a clause.
    output: the name of the one output that this is about; None: it is about all.
    """

    def __init__(self, *, path: str, container: str, why: str, output: str | None = None) -> None:
        super().__init__(
            f"What the converter {_image(container)} says it made of {quoted(path)} cannot be imported: {why}. Tell whoever "
            "wrote the converter; the order's log has all that it said."
        )
        self.path, self.container, self.why, self.output = path, container, why, output


class NothingConverted(EntryFailed):
    """A converter ended well and made nothing."""

    def __init__(self, *, path: str, container: str) -> None:
        super().__init__(
            f"The converter {_image(container)} made nothing of {quoted(path)}. Check that it is made for such files; the "
            "order's log has all that it said."
        )
        self.path, self.container = path, container


class ProcessedNotWritable(EntryFailed):
    """What was converted cannot be kept beside the source; `why` is the system's word."""

    def __init__(self, *, folder: str, why: str) -> None:
        super().__init__(
            f"What is made of your file is kept in {quoted(folder)}, and nothing can be written there ({why}). Let your "
            "facility's administrator give the service's account write access to the folder of the source, then order again."
        )
        self.folder, self.why = folder, why


class ConverterKilled(EntryNotReady):
    """A converter was killed, and not by us."""

    def __init__(self, *, path: str, container: str, memory: str) -> None:
        super().__init__(
            f"The converter {_image(container)} was killed while it converted {quoted(path)}: most likely it needed more than "
            f"the {memory} of memory that it may have (`converter_memory_mb`), or somebody has ended it."
        )
        self.path, self.container, self.memory = path, container, memory


class ConverterNotStarted(EntryNotReady):
    """A container could not be started, which may work another time; `words` are podman's."""

    def __init__(self, *, path: str, container: str, words: str) -> None:
        super().__init__(f"The converter {_image(container)} could not be started for {quoted(path)}: {words}.")
        self.path, self.container, self.words = path, container, words


class RoomsKept(TryAgain):
    """Folders that converters wrote to cannot be removed yet, because links in OMERO lead there still, say."""

    def __init__(self, *, folder: str) -> None:
        super().__init__(f"What converters wrote to {quoted(folder)} cannot be removed yet; the log says why (`rooms.kept`).")
        self.folder = folder


class NotOnThisHost(TryAgain):
    """The host cannot do it at the moment, and no order is to blame: another host may, or this one later."""


class PodmanDown(NotOnThisHost):
    """Podman is not there, or does not answer; `why` is a clause."""

    def __init__(self, *, host: str, why: str) -> None:
        super().__init__(f"Converters cannot run on {host}: {why}. Orders that need one wait; `omero adi check` there says more.")
        self.host, self.why = host, why


class ConverterTempDown(NotOnThisHost):
    """The folder that converters write to is not there, or nothing can be written to it; `why` is the system's word."""

    def __init__(self, *, folder: str, why: str) -> None:
        super().__init__(
            f"Converters cannot write to {quoted(folder)}, where the setting `converter_temp` says that they should ({why}). "
            "Mount or make that folder, let the account that runs this service write there and the account that runs "
            "OMERO.server read there under the same path, or correct the setting. Orders that need a converter wait."
        )
        self.folder, self.why = folder, why


class NoRoomToConvert(NotOnThisHost):
    """There is less room on a disk than a conversion is likely to need."""

    def __init__(self, *, folder: str, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"A conversion would need about {_gigabytes(needed_bytes)} in {quoted(folder)}, and {_gigabytes(free_bytes)} are "
            "free there. Make room; the order goes on by itself."
        )
        self.folder, self.free_bytes, self.needed_bytes = folder, free_bytes, needed_bytes


def _image(name: str) -> str:
    return quoted(name, length=LONGEST_IMAGE)


def _gigabytes(amount: int) -> str:
    return f"{amount / 2**30:.1f} GB" if amount >= 2**30 else f"{amount / 2**20:.0f} MB"
