# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors: what can go wrong, told apart by type and never by text.

    AdiError
    ├── UsageError              the command was called wrongly
    │   └── OrderEnded          nothing is left of the order that could be called off
    ├── ConfigurationError      a setting is missing or makes no sense
    │   ├── ScriptsMissing  ScriptNotTaken  ScriptForeign
    │   └── CheckFailed         the installation is not as it should be
    ├── NotPermitted            this account may not do that
    ├── OrderFailed             permanent trouble of the order: trying again changes nothing
    │   ├── OrderMalformed  UserUnknown  UserInactive  UserNeverLoggedIn  GroupUnknown  GroupForNobody
    │   │   NotInGroup  TargetMissing  TargetNotWritable  ConvertersMissing
    │   ├── OrderNotFound       no order has that uuid
    │   ├── ImportsDamaged      what was imported is not in OMERO, or not on disk, as it was
    │   └── EntryFailed         trouble of one entry: the others of the order go on
    │       └── FileMissing  SourceUnreadable  PathOutsideRoots  NameImpossible  FormatUnknown  ZarrUnsupported  FileBroken
    │           NothingToImport  ReaderFailed  WrongContainer  FilesetGone  ImportRefused
    ├── TryAgain                transient trouble of the order: worth another attempt later
    │   ├── ConnectionBroken  ImportInterrupted  ServerTrouble  StillUnderWay  OrderBusy  OrderOpen  ImportsPaused
    │   │   ServicesRunning  CutOff  RemovalRefused
    │   └── EntryNotReady       one entry cannot be imported yet: the others of the order go on
    │       └── FileGrowing
    ├── SurroundingsDown        trouble of the surroundings: no order is to blame
    │   ├── DatabaseDown  DiskFull  StorageDown
    │   └── OmeroDown
    │       └── OmeroReadOnly   it answers, and refuses whatever would change something
    └── LeaseLost               another worker has taken the order over: stop at once

Every message names the cause and what to do. The pipeline decides by the branch, the commands make exit codes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PATH = 240
"""So many characters of a path a sentence has room for: what to do must not be cut off behind it."""


LONGEST_NAME = 60
"""So many characters of a name of a user, which anybody may have written into the order."""


MOST_IDS = 10
"""So many ids are named in a sentence."""


def quoted(text: str, *, length: int = LONGEST_PATH) -> str:
    """Return what others wrote, in quotes, fit for a sentence: what cannot be printed as escapes, without its middle when long.

    Parameters
    ----------
    text : str
        Perhaps nonsense, perhaps 10 MB of it.
    length : int
        How many characters may stand between the quotes.
    """
    head = tail = _printable(text[:length])
    if len(text) > length:
        tail = _printable(text[-length:])
    elif len(head) <= length:
        return f"'{head}'"
    return f"'{head[: length // 3]}…{tail[length // 3 + 1 - length :]}'"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def _restore(kind: type[AdiError], arguments: tuple[Any, ...], facts: dict[str, Any]) -> AdiError:
    error = kind.__new__(kind, *arguments)
    Exception.__init__(error, *arguments)
    error.__dict__.update(facts)
    return error


class AdiError(Exception):
    """The root of all errors that this package raises on purpose; its text is one or two sentences for a person."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes: subclasses have keyword-only arguments, which plain pickling loses."""
        return _restore, (type(self), self.args, self.__dict__)


class UsageError(AdiError):
    """The command was called with arguments that make no sense."""


class OrderEnded(UsageError):
    """The order has ended, so it cannot be called off."""

    def __init__(self, *, uuid: str, state: str) -> None:
        super().__init__(f"Order '{uuid}' has ended ({state}), so there is nothing to cancel.")
        self.uuid, self.state = uuid, state


class ConfigurationError(AdiError):
    """A setting is missing, has a wrong value, or contradicts another."""


class ScriptRefused(ConfigurationError):
    """A script that was launched for an order has not taken it; `words` are its own, for people."""

    def __init__(self, *, words: str) -> None:
        super().__init__(f"The script that was launched to carry orders out has not begun. {words}")
        self.words = words


class ScriptsMissing(ConfigurationError):
    """OMERO has no script of ours that is to be launched."""

    def __init__(self, *, script: str, where: str) -> None:
        super().__init__(
            f"OMERO at {where} does not have the script {script}. Run `omero adi scripts install` as an administrator: "
            "`omero adi scripts install --help` says how."
        )
        self.script, self.where = script, where


class ScriptNotTaken(ConfigurationError):
    """OMERO has found no parameters in a script of ours, and has switched it off; `words` are what the run of it said last."""

    def __init__(self, *, script: str, where: str, words: str) -> None:
        super().__init__(
            f"OMERO at {where} cannot use the script {script}, and has switched it off: {words}. "
            "See to the Python that its Processor runs scripts with, and run `omero adi scripts install` again."
        )
        self.script, self.where, self.words = script, where, words


class ScriptForeign(ConfigurationError):
    """Somebody else's scripts have the paths of ours."""

    def __init__(self, *, scripts: Sequence[str], where: str) -> None:
        super().__init__(
            f'OMERO at {where} has other scripts by the names of ours in "Import Scripts": {", ".join(scripts)}. '
            "They were left alone. Give them other names, or remove them, and run `omero adi scripts install` again."
        )
        self.scripts, self.where = tuple(scripts), where


class CheckFailed(ConfigurationError):
    """The check of the installation found something that an administrator must see to; the findings are printed by then."""

    def __init__(self, *, findings: int) -> None:
        super().__init__(f"{findings} finding{'' if findings == 1 else 's'} to see to, listed above with what to do.")
        self.findings = findings


class NotPermitted(AdiError):
    """The account that runs the command may not do what was asked."""


# --- permanent trouble of the order ---------------------------------------------------------------------------------


class OrderFailed(AdiError):
    """Trying again changes nothing until a person does something."""


class OrderMalformed(OrderFailed):
    """A column of the order's row holds something that cannot be an order."""

    def __init__(self, *, column: str, problem: str) -> None:
        super().__init__(f"The order cannot be read: {problem}. Correct `{column}` and order again.")
        self.column, self.problem = column, problem


class OrderNotFound(OrderFailed):
    """There is no order with this uuid."""

    def __init__(self, *, uuid: str) -> None:
        super().__init__(f"There is no order '{uuid}'. `omero adi orders list` shows the newest ones.")
        self.uuid = uuid


class ImportsDamaged(OrderFailed):
    """Something that orders have imported is not as it was imported; the findings are printed by then."""

    def __init__(self, *, findings: int) -> None:
        super().__init__(f"{findings} finding{'' if findings == 1 else 's'} to see to, listed above with what to do.")
        self.findings = findings


class UserUnknown(OrderFailed):
    """OMERO has no user of this name.

    similar:   a user whose name differs in capitals only, None if there is none.
    directory: users of this OMERO may come from a directory (LDAP): those are known only after their first login.
    """

    def __init__(self, *, user: str, similar: str | None = None, directory: bool = False) -> None:
        name = quoted(user, length=LONGEST_NAME)
        known = f", but one called {quoted(similar, length=LONGEST_NAME)}" if similar else ""
        first = (
            " Somebody whose account comes from the directory (LDAP) has to log in to OMERO once before the first order."
            if directory
            else ""
        )
        super().__init__(
            f"OMERO has no user {name}{known}. User names are case-sensitive: correct the name and order again.{first}"
        )
        self.user, self.similar, self.directory = user, similar, directory


class UserInactive(OrderFailed):
    """The user exists, and is switched off in OMERO, or is the guest, who may never do anything."""

    def __init__(self, *, user: str, guest: bool = False) -> None:
        super().__init__(
            f"'{user}' is OMERO's account for visitors, to which nothing can belong. Order for a user of your own."
            if guest
            else f"The user '{user}' is inactive in OMERO. Let an administrator activate the account and order again, "
            "or order for another user."
        )
        self.user, self.guest = user, guest


class UserNeverLoggedIn(OrderFailed):
    """The user has an account that OMERO has put into no group yet, as one that an LDAP made: it has nowhere to put images."""

    def __init__(self, *, user: str) -> None:
        super().__init__(
            f"The user '{user}' is in no group of OMERO yet, so there is no place for the images. "
            "Let the user log in to OMERO once, or an administrator put the user into a group, then order again."
        )
        self.user = user


class GroupUnknown(OrderFailed):
    """OMERO has no group of this name."""

    def __init__(self, *, group: str) -> None:
        super().__init__(f"OMERO has no group '{group}'. Group names are case-sensitive: correct it and order again.")
        self.group = group


class NotInGroup(OrderFailed):
    """The user is no member of the order's group."""

    def __init__(self, *, user: str, group: str) -> None:
        super().__init__(
            f"The user '{user}' is not a member of the group '{group}'. "
            f"Order into one of the user's own groups, or let an administrator add '{user}' to '{group}' and order again."
        )
        self.user, self.group = user, group


class GroupForNobody(OrderFailed):
    """The order names a group that OMERO needs for itself, in which no images can lie."""

    def __init__(self, *, group: str) -> None:
        super().__init__(
            f"'{group}' is a group that OMERO keeps for itself: no images can lie in it. Order into one of the user's own groups."
        )
        self.group = group


class TargetMissing(OrderFailed):
    """The Dataset or Screen does not exist, or cannot be seen by the user in the order's group."""

    def __init__(self, *, target: str, user: str, group: str) -> None:
        super().__init__(
            f"There is no {target} that '{user}' can see in the group '{group}'. "
            "It may have been deleted or lie in another group: choose an existing one and order again."
        )
        self.target, self.user, self.group = target, user, group


class TargetVanished(OrderFailed):
    """The target was there when the import began, and is not any more; what had been imported is in no container now."""

    def __init__(self, *, target: str, kind: str, ids: Sequence[int]) -> None:
        things = {"Screen": "plate"}.get(kind, "image")
        more = f" and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
        named = ", ".join(map(str, ids[:MOST_IDS])) + more
        super().__init__(
            f"{target} went away during the import. What had been imported by then is in no {kind}: "
            f"{things}{'' if len(ids) == 1 else 's'} {named}. Put it where it belongs, or delete it, and order the rest again."
        )
        self.target, self.kind, self.ids = target, kind, tuple(ids)


class TargetNotWritable(OrderFailed):
    """The user sees the target but may not put anything into it."""

    def __init__(self, *, target: str, user: str) -> None:
        super().__init__(
            f"The user '{user}' may not add anything to {target}, because it belongs to somebody else. "
            "Choose one of the user's own and order again."
        )
        self.target, self.user = target, user


class ConvertersMissing(OrderFailed):
    """The order asks for preprocessing, which this version does not do yet."""

    def __init__(self, *, container: str) -> None:
        super().__init__(
            f"The order asks for preprocessing by '{container}', and this version does not run converters yet. "
            "Order the files without preprocessing."
        )
        self.container = container


class EntryFailed(OrderFailed):
    """One entry cannot be imported; the others of its order go on."""


class FileMissing(EntryFailed):
    """A path of the order does not exist."""

    def __init__(self, *, path: str) -> None:
        super().__init__(f"{quoted(path)} does not exist on the server. Check the path, or copy the file there, and order again.")
        self.path = path


class SourceUnreadable(EntryFailed):
    """A file of the order exists, but the account that has to read it may not."""

    def __init__(self, *, path: str, account: str) -> None:
        super().__init__(
            f"{quoted(path)} cannot be read by '{account}'. "
            "Give that account read access to the file and to each folder above it, then order again."
        )
        self.path, self.account = path, account


class PathOutsideRoots(EntryFailed):
    """A path of the order, with its links resolved, lies outside the folder that files may come from."""

    def __init__(self, *, path: str, root: str) -> None:
        super().__init__(f"{quoted(path)} lies outside '{root}', where files to import must lie. Move it there and order again.")
        self.path, self.root = path, root


class NameImpossible(EntryFailed):
    """The file's name is one that OMERO, or the database of orders, cannot hold."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"{quoted(path)} cannot be imported under its name: {why}. Rename it and order again.")
        self.path, self.why = path, why


class FormatUnknown(EntryFailed):
    """No reader of ours opens this kind of file."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"{quoted(path)} cannot be imported: {why}. Save it as TIFF or OME-TIFF and order again.")
        self.path, self.why = path, why


class ZarrUnsupported(EntryFailed):
    """The entry is an OME-Zarr, which is not for Bio-Formats, and which this version does not register yet."""

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{quoted(path)} is an OME-Zarr, and this version does not register OME-Zarr with OMERO yet. "
            "Save it as OME-TIFF and order that."
        )
        self.path = path


class NothingToImport(EntryFailed):
    """A folder without any file that is an image."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"{quoted(path)} holds nothing that can be imported: {why}. Choose another folder and order again.")
        self.path, self.why = path, why


class ReaderFailed(EntryFailed):
    """The process that reads files hung, crashed or ran out of memory over this one."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(
            f"{quoted(path)} cannot be read: {why}. If it opens elsewhere, tell your facility's administrator: the log says more."
        )
        self.path, self.why = path, why


class FileBroken(EntryFailed):
    """The file has a known format, but cannot be read.

    members: the files that belong together with it, if it is their set that is not whole.
    """

    def __init__(self, *, path: str, why: str, members: Sequence[str] = ()) -> None:
        others = f" (none of the {len(members)} files of its set can be imported)" if len(members) > 1 else ""
        super().__init__(
            f"{quoted(path)} is damaged or was not copied completely: {why}{others}. "
            "Copy it again from the microscope and order again."
        )
        self.path, self.why, self.members = path, why, tuple(members)


class WrongContainer(EntryFailed):
    """Images go into Datasets and plates into Screens; the entry and the target do not fit."""

    def __init__(self, *, path: str, kind: str, target: str) -> None:
        super().__init__(
            f"{quoted(path)} is {kind}, which cannot be put into {target}. "
            "Images go into a Dataset, plates into a Screen: choose the other kind and order again."
        )
        self.path, self.kind, self.target = path, kind, target


class FilesetGone(EntryFailed):
    """What the order imported earlier cannot be seen any more: deleted, moved, or out of the user's reach."""

    def __init__(self, *, path: str, fileset: int) -> None:
        super().__init__(
            f"{quoted(path)} was imported earlier as Fileset {fileset}, which is not visible any more: deleted, or moved to a "
            "group that the user is not in. It is not imported again by itself: if it should be, order it with "
            "`omero adi orders retry … --again`."
        )
        self.path, self.fileset = path, fileset


class ImportRefused(EntryFailed):
    """OMERO.server refused the file; its own words are kept."""

    def __init__(self, *, path: str, words: str) -> None:
        super().__init__(
            f"OMERO could not import {quoted(path)}: {words}. Open the file in the program that made it; if it is intact there, "
            "tell your facility's administrator."
        )
        self.path, self.words = path, words


# --- transient trouble of the order ---------------------------------------------------------------------------------


class TryAgain(AdiError):
    """Another attempt later is likely to succeed."""


class ConnectionBroken(TryAgain):
    """The connection to OMERO ended in the middle of the work."""

    def __init__(self, *, doing: str) -> None:
        super().__init__(f"The connection to OMERO was lost while {doing}. The order is tried again by itself.")
        self.doing = doing


class ImportInterrupted(TryAgain):
    """The import was cut off on the server's side, or something of it was taken away meanwhile."""

    def __init__(self, *, path: str, words: str) -> None:
        super().__init__(f"The import of {quoted(path)} was interrupted: {words}. The order is tried again by itself.")
        self.path, self.words = path, words


class EntryNotReady(TryAgain):
    """One entry cannot be imported at the moment; the others of its order go on, and then the order is tried again."""


class FileGrowing(EntryNotReady):
    """A file of the order is still being written."""

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{quoted(path)} is still being written: its size or time has just changed. The order is tried again by itself; "
            "order when the copying is done."
        )
        self.path = path


class ServerTrouble(TryAgain):
    """OMERO.server answered with an error that says nothing against the order: it is overloaded, or busy with something else."""

    def __init__(self, *, doing: str, words: str) -> None:
        super().__init__(f"OMERO.server reported an error while {doing}: {words}. The order is tried again by itself.")
        self.doing, self.words = doing, words


class StillUnderWay(TryAgain):
    """An order has not ended within the time that somebody wanted to wait for it."""

    def __init__(self, *, uuid: str, seconds: float) -> None:
        super().__init__(
            f"Order '{uuid}' has not ended within {seconds:g} seconds. It goes on by itself; "
            f"`omero adi orders show {uuid}` tells more."
        )
        self.uuid, self.seconds = uuid, seconds


class OrderBusy(TryAgain):
    """An order is just now being carried out, or called off, so it cannot be ordered again."""

    def __init__(self, *, uuid: str, owner: str, called_off: bool = False) -> None:
        doing = "called off" if called_off else "carried out"
        super().__init__(
            f"Order '{uuid}' is being {doing} by {owner}. Wait for its end (`omero adi orders wait {uuid}`), then try again."
        )
        self.uuid, self.owner, self.called_off = uuid, owner, called_off


class OrderOpen(TryAgain):
    """An order waits, or is being carried out, so that nobody can say, or change, what has become of it in the end."""

    def __init__(self, *, uuid: str) -> None:
        super().__init__(
            f"Order '{uuid}' has not ended. Wait for its end (`omero adi orders wait {uuid}`) or call it off "
            f"(`omero adi orders cancel {uuid}`), then try again."
        )
        self.uuid = uuid


class CutOff(TryAgain):
    """A command that works with OMERO could not come to its end; what it has done is done, and it can be run again."""

    def __init__(self, *, why: str) -> None:
        super().__init__(f"{why} Run the same command again: it goes on from there.")
        self.why = why


class RemovalRefused(TryAgain):
    """OMERO does not delete some of the filesets that a person wanted to be removed; they are named by then."""

    def __init__(self, *, filesets: int) -> None:
        super().__init__(
            f"{filesets} fileset{' stays' if filesets == 1 else 's stay'} in OMERO, for the reasons above. "
            "When those are gone, run the same command again."
        )
        self.filesets = filesets


class ImportsPaused(TryAgain):
    """Somebody has paused all imports; the sentence is that of the pause."""


class ServicesRunning(TryAgain):
    """Services are at work on a database that is to be given away."""

    def __init__(self, *, who: str) -> None:
        super().__init__(f"The database is in use: {who}. Stop all services (`omero adi pause --drain` first), then try again.")
        self.who = who


# --- trouble of the surroundings ------------------------------------------------------------------------------------


class SurroundingsDown(AdiError):
    """Something that all orders need is not there; no order is to blame, and none is failed for it."""


class OmeroDown(SurroundingsDown):
    """OMERO.server does not answer, or does not let the service account in."""

    def __init__(self, *, where: str, why: str) -> None:
        super().__init__(f"OMERO at {where} cannot be reached: {why}. Check that it runs, and OMERO_HOST and OMERO_PORT.")
        self.where, self.why = where, why


class OmeroReadOnly(OmeroDown):
    """OMERO.server answers, and refuses whatever would change something: it was started so, for maintenance or as a copy."""

    def __init__(self, *, where: str) -> None:
        AdiError.__init__(
            self,
            f"OMERO at {where} is read-only, so nothing can be imported. Imports go on by themselves when it was restarted "
            "without `omero.cluster.read_only`.",
        )
        self.where, self.why = where, "it is read-only"


class DatabaseDown(SurroundingsDown):
    """PostgreSQL does not answer."""

    def __init__(self, *, where: str, why: str) -> None:
        super().__init__(
            f"The tracking database at {where} cannot be reached: {why}. Check that it runs, and INGEST_TRACKING_DB_URL."
        )
        self.where, self.why = where, why


class DiskFull(SurroundingsDown):
    """A disk that the import writes to has no room left."""

    def __init__(self, *, path: str) -> None:
        super().__init__(f"There is no space left on the disk of {quoted(path)}. Make room; the order goes on by itself.")
        self.path = path


class NoProcessor(SurroundingsDown):
    """None of OMERO's Processors carries a script out; `why` is a sentence."""

    def __init__(self, *, where: str, why: str) -> None:
        super().__init__(
            f"No Processor of OMERO at {where} carries orders out: {why} Check that Processors run there "
            "(`omero admin diagnostics`); orders wait meanwhile."
        )
        self.where, self.why = where, why


class StorageDown(SurroundingsDown):
    """The storage that files to import lie on is away; `why` is a predicate: "is not there"."""

    def __init__(self, *, folder: str, why: str) -> None:
        super().__init__(
            f"The folder {quoted(folder)}, in which files to import lie, {why}. "
            "Mount what belongs there, or correct `base_dir` and `group_roots`; orders wait meanwhile."
        )
        self.folder, self.why = folder, why


class SessionOver(AdiError):
    """The session that an order was carried out in has ended, and nobody who carries it out may make another one."""

    def __init__(self) -> None:
        super().__init__(
            "OMERO has ended the session of the script that carried the order out. The order goes on in another one by itself."
        )


class LeaseLost(AdiError):
    """The lease on an order is gone: another worker has it now, so nothing more may be written."""

    def __init__(self, *, uuid: str) -> None:
        super().__init__(f"The lease on order '{uuid}' is gone: another worker has taken it over.")
        self.uuid = uuid
