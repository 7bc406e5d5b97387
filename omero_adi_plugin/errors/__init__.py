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
    │   │   NotInGroup  TargetMissing  TargetNotWritable  ConverterNotAllowed  ConverterMissing
    │   ├── OrderNotFound       no order has that uuid
    │   ├── ImportsDamaged      what was imported is not in OMERO, or not on disk, as it was
    │   └── EntryFailed         trouble of one entry: the others of the order go on
    │       └── FileMissing  SourceUnreadable  PathOutsideRoots  NameImpossible  FormatUnknown  ZarrUnsupported  FileBroken
    │           NothingToImport  ReaderFailed  WrongContainer  FilesetGone  ImportRefused  ConverterFailed
    │           ConverterLied  NothingConverted  ProcessedNotWritable
    ├── TryAgain                transient trouble of the order: worth another attempt later
    │   ├── ConnectionBroken  ImportInterrupted  ServerTrouble  StillUnderWay  OrderBusy  OrderOpen  ImportsPaused
    │   │   ServicesRunning  CutOff  RemovalRefused  Halted  RoomsKept
    │   ├── NotBegun                no script has begun with it: held up, counts as no failure
    │   │   └── LaunchBroken  ScriptRefused
    │   ├── NotOnThisHost       this host cannot do it at the moment: counts as no failure
    │   │   └── PodmanDown  NoRoomToConvert  ConverterTempDown
    │   └── EntryNotReady       one entry cannot be imported yet: the others of the order go on
    │       └── FileGrowing  ConverterKilled  ConverterNotStarted
    ├── SurroundingsDown        trouble of the surroundings: no order is to blame
    │   ├── DatabaseDown  DiskFull  StorageDown  NoProcessor  NotLaunched
    │   └── OmeroDown
    │       └── OmeroReadOnly   it answers, and refuses whatever would change something
    ├── SessionOver             the session of a script has ended: it has no other
    └── LeaseLost               another worker has taken the order over: stop at once

Every message names the cause and what to do. The pipeline decides by the branch, the commands make exit codes of it.
"""

from omero_adi_plugin.errors.base import AdiError, LeaseLost, NotPermitted, OrderEnded, SessionOver, UsageError, quoted
from omero_adi_plugin.errors.configuration import (
    CheckFailed,
    ConfigurationError,
    ScriptForeign,
    ScriptNotTaken,
    ScriptsMissing,
)
from omero_adi_plugin.errors.converting import (
    ConverterFailed,
    ConverterKilled,
    ConverterLied,
    ConverterMissing,
    ConverterNotAllowed,
    ConverterNotStarted,
    ConverterTempDown,
    NoRoomToConvert,
    NothingConverted,
    NotOnThisHost,
    PodmanDown,
    ProcessedNotWritable,
    RoomsKept,
)
from omero_adi_plugin.errors.entries import (
    EntryFailed,
    FileBroken,
    FileMissing,
    FilesetGone,
    FormatUnknown,
    ImportRefused,
    NameImpossible,
    NothingToImport,
    PathOutsideRoots,
    ReaderFailed,
    SourceUnreadable,
    WrongContainer,
    ZarrUnsupported,
)
from omero_adi_plugin.errors.orders import (
    GroupForNobody,
    GroupUnknown,
    ImportsDamaged,
    NotInGroup,
    OrderFailed,
    OrderMalformed,
    OrderNotFound,
    TargetMissing,
    TargetNotWritable,
    TargetVanished,
    UserInactive,
    UserNeverLoggedIn,
    UserUnknown,
)
from omero_adi_plugin.errors.passing import (
    ConnectionBroken,
    CutOff,
    EntryNotReady,
    FileGrowing,
    Halted,
    ImportInterrupted,
    ImportsPaused,
    LaunchBroken,
    NotBegun,
    OrderBusy,
    OrderOpen,
    RemovalRefused,
    ScriptRefused,
    ServerTrouble,
    ServicesRunning,
    StillUnderWay,
    TryAgain,
)
from omero_adi_plugin.errors.surroundings import (
    DatabaseDown,
    DiskFull,
    NoProcessor,
    NotLaunched,
    OmeroDown,
    OmeroReadOnly,
    StorageDown,
    SurroundingsDown,
)

__all__ = [
    "AdiError",
    "CheckFailed",
    "ConfigurationError",
    "ConnectionBroken",
    "ConverterFailed",
    "ConverterKilled",
    "ConverterLied",
    "ConverterMissing",
    "ConverterNotAllowed",
    "ConverterNotStarted",
    "ConverterTempDown",
    "CutOff",
    "DatabaseDown",
    "DiskFull",
    "EntryFailed",
    "EntryNotReady",
    "FileBroken",
    "FileGrowing",
    "FileMissing",
    "FilesetGone",
    "FormatUnknown",
    "GroupForNobody",
    "GroupUnknown",
    "Halted",
    "ImportInterrupted",
    "ImportRefused",
    "ImportsDamaged",
    "ImportsPaused",
    "LaunchBroken",
    "LeaseLost",
    "NameImpossible",
    "NoProcessor",
    "NoRoomToConvert",
    "NotBegun",
    "NotInGroup",
    "NotLaunched",
    "NotOnThisHost",
    "NotPermitted",
    "NothingConverted",
    "NothingToImport",
    "OmeroDown",
    "OmeroReadOnly",
    "OrderBusy",
    "OrderEnded",
    "OrderFailed",
    "OrderMalformed",
    "OrderNotFound",
    "OrderOpen",
    "PathOutsideRoots",
    "PodmanDown",
    "ProcessedNotWritable",
    "ReaderFailed",
    "RemovalRefused",
    "RoomsKept",
    "ScriptForeign",
    "ScriptNotTaken",
    "ScriptRefused",
    "ScriptsMissing",
    "ServerTrouble",
    "ServicesRunning",
    "SessionOver",
    "SourceUnreadable",
    "StillUnderWay",
    "StorageDown",
    "SurroundingsDown",
    "TargetMissing",
    "TargetNotWritable",
    "TargetVanished",
    "TryAgain",
    "UsageError",
    "UserInactive",
    "UserNeverLoggedIn",
    "UserUnknown",
    "WrongContainer",
    "ZarrUnsupported",
    "quoted",
]
