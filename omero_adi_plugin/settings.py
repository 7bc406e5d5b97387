# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings: what an administrator can set, each with its unit in its name.

A value comes from the command line, else from the environment, else from the settings file, else it is the default here.
The file is the first of: `--config FILE`, `ADI_CONFIG`, `config/settings.yml` below the working directory,
`$OMERODIR/etc/omero-adi.yml`. In the environment a setting is called `ADI_` and its name in capitals; those that older
installations know by another name keep it (`OMERO_HOST`, `INGEST_TRACKING_DB_URL`, …).
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from omero_adi_plugin.errors import ConfigurationError

_FILE: ContextVar[Path | None] = ContextVar("_FILE", default=None)
"""The settings file while settings are being read: pydantic-settings asks the class for its sources, which has no arguments."""


def _named(setting: str, *environment: str) -> AliasChoices:
    """Names of a setting: in the environment first the one that older installations know, then ours; in the file its own."""
    return AliasChoices(*environment, f"ADI_{setting.upper()}", setting)


class Settings(BaseSettings):
    """All settings, checked. `Settings.load` is the way to get one."""

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=True, populate_by_name=True, env_ignore_empty=True)

    ingest_tracking_db: SecretStr = Field(
        validation_alias=_named("ingest_tracking_db", "INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL"),
        description="URL of the tracking database, postgresql://user:password@host:port/database.",
    )
    omero_host: str = Field(
        default="localhost",
        validation_alias=_named("omero_host", "OMERO_HOST"),
        description="Host of OMERO.server.",
    )
    omero_port: int = Field(
        default=4064,
        ge=1,
        le=65535,
        validation_alias=_named("omero_port", "OMERO_PORT"),
        description="SSL port of OMERO.server.",
    )
    omero_user: str = Field(
        default="root",
        validation_alias=_named("omero_user", "OMERO_USER"),
        description="The service account: an administrator, a restricted one with the privilege Sudo is enough.",
    )
    omero_password: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_named("omero_password", "OMERO_PASSWORD"),
        description="Password of the service account.",
    )
    base_dir: Path = Field(
        default=Path("/data"),
        validation_alias=_named("base_dir"),
        description="The folder that files to import must lie in, after links are resolved.",
    )
    max_workers: int = Field(
        default=4,
        ge=1,
        le=64,
        validation_alias=_named("max_workers"),
        description="How many orders this service carries out at the same time, each in a process of its own.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO",
        validation_alias=_named("log_level"),
        description="The least important kind of log line that is still written.",
    )
    log_file_path: Path | None = Field(
        default=None,
        validation_alias=_named("log_file_path"),
        description="The application log; the logs of each order lie beside it. Without it the log goes to stderr.",
    )
    annotation_namespace: str = Field(
        default="omeroadi.import",
        min_length=1,
        validation_alias=_named("annotation_namespace"),
        description="Namespace of the key-values on imported images.",
    )
    skip_checksum: bool = Field(
        default=False,
        validation_alias=_named("skip_checksum"),
        description="Compare sizes instead of SHA1 sums when OMERO checks what it was given.",
    )
    skip_minmax: bool = Field(
        default=False,
        validation_alias=_named("skip_minmax"),
        description="Do not compute the smallest and largest value of each channel.",
    )
    skip_thumbnails: bool = Field(
        default=False,
        validation_alias=_named("skip_thumbnails"),
        description="Do not make thumbnails at import; OMERO makes them when somebody looks.",
    )
    skip_all: bool = Field(
        default=False,
        validation_alias=_named("skip_all"),
        description="All of the skip settings at once.",
    )
    lease_seconds: int = Field(
        default=60,
        ge=5,
        validation_alias=_named("lease_seconds"),
        description="How long a worker may be silent before another takes over its order. Shorter: faster rescue after a crash. "
        "Longer: fewer false alarms on a slow host. Keep it at three heartbeats or more.",
    )
    heartbeat_seconds: int = Field(
        default=10,
        ge=1,
        validation_alias=_named("heartbeat_seconds"),
        description="How often a worker extends the lease on its order.",
    )
    poll_seconds: int = Field(
        default=5,
        ge=1,
        validation_alias=_named("poll_seconds"),
        description="How often a service looks for work when PostgreSQL has not woken it.",
    )
    reconcile_seconds: int = Field(
        default=300,
        ge=5,
        validation_alias=_named("reconcile_seconds"),
        description="How often a service scans for pending rows that no trigger told it of.",
    )
    pending_days: int = Field(
        default=10,
        ge=1,
        validation_alias=_named("pending_days"),
        description="Pending rows older than this are left alone when a service meets the database for the first time.",
    )
    failures_allowed: int = Field(
        default=5,
        ge=1,
        validation_alias=_named("failures_allowed"),
        description="How many attempts at an order may fail for transient reasons before the order fails.",
    )
    surroundings_seconds: int = Field(
        default=10,
        ge=1,
        validation_alias=_named("surroundings_seconds"),
        description="How often it is tried again whether OMERO, the database or a full disk can be used again. "
        "No order is claimed meanwhile.",
    )
    import_patience_seconds: int = Field(
        default=3600,
        ge=10,
        validation_alias=_named("import_patience_seconds"),
        description="How long the server may show no progress while it imports one fileset.",
    )
    shutdown_timeout: int = Field(
        default=30,
        ge=0,
        validation_alias=_named("shutdown_timeout"),
        description="Seconds that running orders get to finish at shutdown before they are given back.",
    )
    run_migrations: bool = Field(
        default=True,
        validation_alias=_named("run_migrations"),
        description="Bring the tables up to date when a service starts (ADI_RUN_MIGRATIONS=0: never by itself).",
    )

    @classmethod
    def load(cls, config: Path | None = None, **given: Any) -> Settings:  # noqa: ANN401 (values of settings of any type)
        """Read the settings.

        Parameters
        ----------
        config : Path, optional
            The file named on the command line; None: look for one as the module says.
        given
            Values from the command line, by setting; None stands for "not given".

        Raises
        ------
        ConfigurationError
            The file cannot be read, or a value makes no sense; the message names setting and source.
        """
        file = find_file(config)
        token = _FILE.set(file)
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise ConfigurationError(_sentence(error, file)) from error
        except (OSError, yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
            raise ConfigurationError(f"The settings file '{file}' cannot be read: {error}") from error
        finally:
            _FILE.reset(token)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file."""
        del dotenv_settings, file_secret_settings
        file = _FILE.get()
        if file is None:
            return init_settings, env_settings
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file)

    @property
    def omero(self) -> str:
        """Host and port of OMERO, as messages name it."""
        return f"{self.omero_host}:{self.omero_port}"


def find_file(config: Path | None) -> Path | None:
    """Return the settings file to use, None if there is none.

    Raises
    ------
    ConfigurationError
        A file was named, on the command line or by `ADI_CONFIG`, that does not exist.
    """
    named = config or (Path(os.environ["ADI_CONFIG"]) if os.environ.get("ADI_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigurationError(f"The settings file '{named}' does not exist. Correct --config or ADI_CONFIG.")
        return named
    places = [Path("config/settings.yml")]
    if os.environ.get("OMERODIR"):
        places.append(Path(os.environ["OMERODIR"]) / "etc" / "omero-adi.yml")
    return next((place for place in places if place.is_file()), None)


def _sentence(error: ValidationError, file: Path | None) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "missing":
        where = f"'{file}'" if file else "a settings file (none was found: --config names one)"
        return f"The setting {_both_names(str(first['loc'][0]))} is missing. Set it in the environment or in {where}."
    source = f"the environment or '{file}'" if file else "the environment"
    return f"The setting {_both_names(str(first['loc'][0]))} is wrong: {first['msg']}. It comes from {source}."


def _both_names(alias: str) -> str:
    """Return a setting's name in the file, with the one in the environment, given any of its names."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices) and alias in (name, *field.validation_alias.choices):
            return f"`{name}` ({field.validation_alias.choices[0]})"
    return f"`{alias}`"
