# SPDX-License-Identifier: GPL-2.0-or-later
"""Model: the settings, each with its type, limits, default and what it is for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.settings.catalogue import EXAMPLE_URL, Expected, Known, NoEffectYet, catalogue
from omero_adi_plugin.settings.containers import read_containers, read_words
from omero_adi_plugin.settings.roots import read_roots, within
from omero_adi_plugin.settings.sources import COMMAND_LINE, Given, search
from omero_adi_plugin.settings.validating import validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.settings.checking import Problem
    from omero_adi_plugin.settings.sources import Found

HEARTBEATS_PER_LEASE = 3
"""So many heartbeats must fit into a lease: one that is late, on a busy host, is no death."""


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Settings(BaseSettings):
    """All settings, checked. `Settings.load` is the way to get them."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    _legacy: tuple[str, ...] = PrivateAttr(default=())

    # --- what is connected to

    ingest_tracking_db: Annotated[SecretStr, Known("INGEST_TRACKING_DB_URL", last="SQLALCHEMY_URL")] = Field(
        description=f"URL of the tracking database, {EXAMPLE_URL}; in user and password %40 stands for @, %25 for %.",
    )
    omero_host: Annotated[str, Known("OMERO_HOST")] = Field(default="localhost", description="Host of OMERO.server.")
    omero_port: Annotated[int, Known("OMERO_PORT")] = Field(default=4064, ge=1, le=65535, description="SSL port of OMERO.server.")
    omero_user: Annotated[str, Known("OMERO_USER")] = Field(
        default="root",
        description="The service account: an administrator, a restricted one with the privilege Sudo is enough.",
    )
    omero_password: Annotated[SecretStr, Known("OMERO_PASSWORD")] = Field(
        default=SecretStr(""), description="Password of the service account."
    )

    # --- what is imported, and how

    base_dir: Path = Field(
        default=Path("/data"), description="The folder that files to import must lie in, after links are resolved."
    )
    group_roots: Annotated[
        dict[str, tuple[Path, ...]],
        BeforeValidator(read_roots),
        Expected('a mapping of groups to lists of folders, as `{"lab": ["/data/lab"]}`'),
    ] = Field(
        default={},
        description="Folders in `base_dir` that the files of a group's orders must lie in, by the group's name; `*` means all"
        " groups that are not named. A group for which there is nothing may use all of `base_dir`.",
    )
    annotation_namespace: str = Field(
        default="omeroadi.import", min_length=1, description="Namespace of the key-values on imported images."
    )
    skip_checksum: bool = Field(
        default=False, description="Compare sizes instead of SHA1 sums when OMERO checks what it was given."
    )
    skip_minmax: bool = Field(default=False, description="Do not compute the smallest and largest value of each channel.")
    skip_thumbnails: bool = Field(
        default=False, description="Do not make thumbnails at import; OMERO makes them when somebody looks."
    )
    importer: Literal["inplace", "omero"] = Field(
        default="inplace",
        description="What brings files into OMERO: `inplace`, our own way, or `omero`, OMERO's importer in Java, which must be "
        "installed then.",
    )
    skip_existing: bool = Field(
        default=False,
        description="Do not import files that the target already holds, by path and size; they are reported instead.",
    )
    server_account: str | None = Field(
        default=None,
        description="The system account that runs OMERO.server, which must be able to read the files. Without it: the owner of "
        "the managed repository. `root`: no file is refused for the rights of that account.",
    )
    settle_seconds: int = Field(
        default=5,
        ge=0,
        le=3600,
        description="A file that has changed within so many seconds is looked at again after as many, and imported when it has "
        "not changed since. 0: files are taken as they are.",
    )
    bioformats_jar: Path | None = Field(
        default=None,
        description="Bio-Formats, as one jar (`bioformats_package.jar`) or a folder of jars, if `$OMERODIR/lib/client` has none.",
    )
    reader_heap_mb: int = Field(
        default=512, ge=64, le=65536, description="Largest heap of the process that reads files with Bio-Formats, in MB."
    )
    reader_patience_seconds: int = Field(
        default=600, ge=1, description="How long one file may take to be opened before it counts as one that hangs."
    )
    skip_upgrade: Annotated[bool, NoEffectYet()] = Field(
        default=False, description="Do not look for a newer Bio-Formats before an import. This version never looks."
    )
    skip_all: bool = Field(default=False, description="All of the skip settings at once.")
    import_patience_seconds: int = Field(
        default=3600, ge=10, description="How long the server may show no progress while it imports one fileset."
    )
    parallel_upload_per_worker: int = Field(
        default=2, ge=1, le=64, description="How many files of a fileset a worker hands over at the same time."
    )
    parallel_filesets_per_worker: int = Field(
        default=2, ge=1, le=64, description="How many filesets a worker imports at the same time."
    )
    use_register_zarr: Annotated[bool, Known("USE_REGISTER_ZARR"), NoEffectYet()] = Field(
        default=False, description="Register OME-Zarr with OMERO instead of importing it through Bio-Formats."
    )

    # --- the service

    dispatch: Literal["local", "grid"] = Field(
        default="local",
        description="Where this service has orders carried out: `local`, in processes of its own, or `grid`, by scripts that it"
        " launches on OMERO's Processors, wherever they run. Services of both kinds may share a database.",
    )
    max_workers: int = Field(
        default=4,
        ge=1,
        le=64,
        description="How many orders this service carries out at the same time, each in a process of its own; with `dispatch:"
        " grid`, how many scripts it launches at the same time.",
    )
    max_scripts: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="How many orders scripts on OMERO's Processors carry out at the same time, for all services with `dispatch:"
        " grid` on this database together.",
    )
    max_orders_per_user: int | None = Field(
        default=None,
        ge=1,
        description="How many orders of one user are carried out at the same time, by all services together. Without it: as many "
        "as there are workers; users take turns in any case.",
    )
    max_orders_per_group: int | None = Field(
        default=None, ge=1, description="How many orders are carried out at the same time in one group, by all services together."
    )
    max_filesets_in_flight: int = Field(
        default=6,
        ge=1,
        le=1000,
        description="How many filesets OMERO.server imports at the same time, for all services and commands on this database "
        "together. 24 were seen to stop a server for minutes.",
    )
    yield_after_filesets: int = Field(
        default=100,
        ge=1,
        description="After so many filesets an order gives way, if orders of other users wait for a worker.",
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = Field(
        default="INFO", description="The least important kind of log line that is still written."
    )
    log_file_path: Path | None = Field(
        default=None, description="The application log; the logs of each order lie beside it. Without it the log goes to stderr."
    )
    heartbeat_seconds: int = Field(default=10, ge=1, description="How often a worker extends the lease on its order.")
    lease_seconds: int = Field(
        default=60,
        ge=5,
        description="How long a worker may be silent before another takes over its order. Shorter: faster rescue after a crash. "
        f"Longer: fewer false alarms on a slow host. At least {HEARTBEATS_PER_LEASE} heartbeats.",
    )
    poll_seconds: int = Field(default=5, ge=1, description="How often a service looks for work when PostgreSQL has not woken it.")
    intake: Literal["trigger", "scan"] = Field(
        default="trigger",
        description="How new orders are noticed: by a trigger on `imports`, or, where a site allows none, by a scan every "
        "`poll_seconds`. The same for all services of a database.",
    )
    reconcile_seconds: int = Field(
        default=300, ge=5, description="How often a service scans for pending rows that no trigger told it of."
    )
    pending_days: int = Field(
        default=10,
        ge=1,
        le=36500,
        description="Pending rows older than this are left alone when a service meets the database for the first time.",
    )
    failures_allowed: int = Field(
        default=5, ge=1, description="How many attempts at an order may fail for transient reasons before the order fails."
    )
    surroundings_seconds: int = Field(
        default=10,
        ge=1,
        description="How often it is tried again whether OMERO, the database or a full disk can be used again. "
        "No order is claimed meanwhile.",
    )
    no_progress_seconds: int = Field(
        default=7200,
        ge=60,
        description="How long an order may show no progress at all before it is taken from its worker, and tried again.",
    )
    takeover_patience_seconds: int = Field(
        default=600,
        ge=0,
        description="How long it is waited, after a worker died, for OMERO.server to finish the import that it had begun, before "
        "that is removed and begun anew.",
    )
    sweep_seconds: int = Field(
        default=900,
        ge=1,
        description="How long after the end of an interrupted order OMERO is looked at once more, for what lost sessions of it "
        "may have done since. They live for 600 s after they were last heard of.",
    )
    keep_days: int = Field(
        default=90,
        ge=1,
        le=36500,
        description="How long it is remembered, in our own tables, who did what to an order that has ended, and what became of "
        "each file; the shared tables keep their rows. At least `pending_days` and a day.",
    )
    shutdown_timeout: int = Field(
        default=30, ge=0, description="Seconds that running orders get to finish at shutdown before they are given back."
    )
    run_migrations: bool = Field(
        default=True, description="Bring the tables up to date when a service starts (ADI_RUN_MIGRATIONS=0: never by itself)."
    )
    allow_auto_stamp: bool = Field(
        default=False,
        description="When the shared tables came without a version table, note the revision that they look like, then upgrade.",
    )

    # --- converters

    containers: Annotated[
        dict[str, tuple[str, ...]],
        BeforeValidator(read_containers),
        Expected('a mapping of `allow` to a list of images, as `{"allow": ["docker.io/lab/*"]}`'),
    ] = Field(
        default={"allow": ()},
        description="Which images may run as converters, as `allow: [PATTERN, …]`: names as podman has them, in which `*` stands"
        " for anything but `/`, `:` and `@`; without a tag all tags, with a digest (`NAME@sha256:…`) nothing but that very image."
        " What no pattern fits does not run.",
    )
    max_containers: int = Field(
        default=2, ge=1, le=64, description="How many converters run at the same time on one host, for all its workers together."
    )
    converter_temp: Path = Field(
        default=Path("/OMERO/OMERO_inplace"),
        description="Where converters write what is imported, in a folder for each order; the account that runs OMERO.server must"
        " be able to read there, under the same path.",
    )
    processed_folder: str = Field(
        default=".processed",
        min_length=1,
        max_length=64,
        description="What the folder beside a source is called in which that is kept which was made of it. It is never imported"
        " when a folder is ordered.",
    )
    source_mount: Literal["ro", "rw"] = Field(
        default="ro",
        description="Whether a converter may write to the folder of its source: `ro`, it may not, or `rw`, for those that write"
        " beside it.",
    )
    converter_timeout_seconds: int = Field(
        default=14400, ge=1, description="How long a converter may take over one file before it is ended."
    )
    converter_memory_mb: int = Field(default=8192, ge=16, description="How much memory a converter may have, in MB.")
    converter_cpus: float = Field(default=2, ge=0.1, le=1024, description="How many processors a converter may use.")
    converter_pids: int = Field(
        default=512, ge=1, le=1_000_000, description="How many processes and threads a converter may have."
    )
    converter_network: Literal["none", "on"] = Field(
        default="none", description="Whether converters reach a network: `none` or `on`, podman's usual one."
    )
    converter_capabilities: Annotated[tuple[str, ...], BeforeValidator(read_words), Expected("words parted by commas")] = Field(
        default=(),
        description="Capabilities that converters keep, as `DAC_OVERRIDE`; without any, root in a container has no more rights"
        " to files than others.",
    )
    converter_pull: Literal["missing", "always", "never"] = Field(
        default="missing", description="Whether an image is fetched before it runs: when it is `missing`, `always` or `never`."
    )
    converter_space_factor: float = Field(
        default=2,
        ge=0,
        le=100,
        description="How many times the size of a source must be free before it is converted, both in `converter_temp` and beside"
        " the source. 0: it is not asked.",
    )
    podman_socket: Path | None = Field(
        default=None,
        description="Where podman's service listens. Without it: at its usual place for this account, and if nobody does there,"
        " one is started, and ended with us.",
    )
    podman_userns_mode: Annotated[str | None, Known("PODMAN_USERNS_MODE")] = Field(
        default=None,
        description="User namespace of converters; `keep-id`: files belong to the account that runs the service. Where podman"
        " runs as root, they do anyway, and it changes nothing.",
    )
    podman_bind_retry_attempts: Annotated[int, Known("PODMAN_BIND_RETRY_ATTEMPTS")] = Field(
        default=3, ge=0, le=100, description="How often a converter is started again when its folders could not be mounted."
    )
    podman_bind_retry_delay_seconds: Annotated[float, Known("PODMAN_BIND_RETRY_DELAY_SECONDS")] = Field(
        default=2, ge=0, le=3600, description="How long to wait before that."
    )

    # --- the sample order of the check

    preprocessing: Annotated[bool, NoEffectYet()] = Field(
        default=False, description="Whether the sample order asks for a converter."
    )
    sample_image: Annotated[Path | None, NoEffectYet()] = Field(default=None, description="The file of the sample order.")
    sample_group: Annotated[str | None, NoEffectYet()] = Field(default=None, description="The OMERO group of the sample order.")
    sample_user: Annotated[str | None, NoEffectYet()] = Field(default=None, description="The OMERO user of the sample order.")
    sample_parent_id: Annotated[int | None, NoEffectYet()] = Field(
        default=None, ge=1, description="Id of the Dataset or Screen that the sample order imports into."
    )
    sample_parent_type: Annotated[Literal["Dataset", "Screen"] | None, NoEffectYet()] = Field(
        default=None, description="What `sample_parent_id` is the id of."
    )

    @field_validator("ingest_tracking_db")
    @classmethod
    def _is_postgresql(cls, url: SecretStr) -> SecretStr:
        if not re.match(r"postgresql(\+psycopg2)?://", url.get_secret_value()):
            raise ValueError(f"must be a URL like {EXAMPLE_URL}")
        return url

    @field_validator("lease_seconds")
    @classmethod
    def _holds_several_heartbeats(cls, seconds: int, info: ValidationInfo) -> int:
        heartbeat = info.data.get("heartbeat_seconds", 0)
        if seconds < HEARTBEATS_PER_LEASE * heartbeat:
            least = HEARTBEATS_PER_LEASE * heartbeat
            raise ValueError(f"must be {least} or more, {HEARTBEATS_PER_LEASE} times `heartbeat_seconds`, which is {heartbeat}")
        return seconds

    @field_validator("processed_folder")
    @classmethod
    def _is_one_name(cls, name: str) -> str:
        if "/" in name or name in {".", ".."} or not name.isprintable():
            raise ValueError("must be the name of one folder, without `/`")
        return name

    @field_validator("converter_temp")
    @classmethod
    def _is_absolute(cls, folder: Path) -> Path:
        if not folder.is_absolute():
            raise ValueError("must be an absolute path")
        return folder

    @field_validator("keep_days")
    @classmethod
    def _longer_than_rows_are_looked_for(cls, days: int, info: ValidationInfo) -> int:
        pending = info.data.get("pending_days", 0)
        if days <= pending:
            raise ValueError(f"must be {pending + 1} or more, a day more than `pending_days`, which is {pending}")
        return days

    @field_validator("group_roots")
    @classmethod
    def _lie_in_base_dir(cls, roots: dict[str, tuple[Path, ...]], info: ValidationInfo) -> dict[str, tuple[Path, ...]]:
        base = info.data.get("base_dir")
        for group, folders in roots.items():
            for folder in folders:
                if base is not None and not within(folder, base):
                    raise ValueError(
                        f"must name folders in `base_dir` ('{base}'), and '{folder}' of the group '{group}' is not in it"
                    )
        return roots

    @classmethod
    def load_without_database(cls, config: Path | None = None, **given: Any) -> tuple[Self, frozenset[str]]:  # noqa: ANN401
        """Read the settings for what needs no database, also where nobody has set one up; raises as `load`.

        Returns
        -------
        Self
            The settings, perhaps with a URL that leads nowhere.
        frozenset of str
            Which of them are not the defaults, but somebody's.
        """
        found = search(catalogue(cls), config, {name: value for name, value in given.items() if value is not None})
        said = frozenset(found.given)
        if "ingest_tracking_db" not in said:
            found = replace(found, given={**found.given, "ingest_tracking_db": Given(EXAMPLE_URL, COMMAND_LINE)})
        return cls._checked(found), said

    @classmethod
    def load(cls, config: Path | None = None, **given: Any) -> Self:  # noqa: ANN401 (values of settings of any type)
        """Read the settings from all sources.

        Parameters
        ----------
        config : Path, optional
            The file named on the command line; None: look for one.
        given
            Values from the command line, by setting; None stands for "not given".

        Raises
        ------
        ConfigurationError
            Names all that is wrong: with each setting, its source and what to do. Holds no secret.
        """
        return cls._checked(search(catalogue(cls), config, {name: value for name, value in given.items() if value is not None}))

    @classmethod
    def _checked(cls, found: Found) -> Self:
        settings, problems = validate(cls, found)
        if settings is None:
            raise ConfigurationError(_sentences(problems))
        settings._legacy = tuple(legacy.key for legacy in found.legacy)  # noqa: SLF001 (our own)
        return settings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` alone, which has them from `sources`: those can tell where each value stands."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def legacy(self) -> tuple[str, ...]:
        """Keys of the former importer that the file holds and that mean nothing here."""
        return self._legacy

    @property
    def allowed_containers(self) -> tuple[str, ...]:
        """Patterns of the images that may run as converters."""
        return self.containers.get("allow", ())

    @property
    def omero(self) -> str:
        """Host and port of OMERO, as messages name it."""
        return f"{self.omero_host}:{self.omero_port}"


def _sentences(problems: Sequence[Problem]) -> str:
    if len(problems) == 1:
        return problems[0].message
    return "\n".join([f"There are {len(problems)} mistakes in the settings:", *(f"- {problem.message}" for problem in problems)])
