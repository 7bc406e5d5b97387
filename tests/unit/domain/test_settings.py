# SPDX-License-Identifier: GPL-2.0-or-later
"""Where settings come from, what a value may be, and what is said when one is wrong."""

import pickle
from pathlib import Path

import pytest

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.settings import Settings, find_file
from omero_adi_plugin.settings.catalogue import catalogue

URL = "postgresql://u@h/d"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to work in, and an environment in which nothing is set."""
    for entry in catalogue(Settings).values():
        for variable in entry.variables:
            monkeypatch.delenv(variable, raising=False)
            monkeypatch.delenv(f"{variable}_FILE", raising=False)
    for name in ("ADI_CONFIG", "OMERODIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str) -> Settings:
    """Load a file with this text, and a database URL."""
    return Settings.load(write(Path("s.yml"), f"ingest_tracking_db: {URL}\n{text}\n"))


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    return str(caught.value)


def test_command_line_over_environment_over_file(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(clean / "s.yml", f"ingest_tracking_db: {URL}\nmax_workers: 2\nomero_port: 1\nbase_dir: /imaging\n")
    monkeypatch.setenv("OMERO_PORT", "14064")
    monkeypatch.setenv("ADI_MAX_WORKERS", "3")
    settings = Settings.load(file, max_workers=5, omero_port=None)
    assert (settings.max_workers, settings.omero_port, settings.base_dir) == (5, 14064, Path("/imaging"))
    assert Settings.load(file).max_workers == 3


def test_a_database_url_may_stand_where_older_programs_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SQLALCHEMY_URL", "ADI_INGEST_TRACKING_DB", "INGEST_TRACKING_DB_URL"):  # the last one goes over the others
        monkeypatch.setenv(variable, f"postgresql://{variable}@h/d")
        assert variable in Settings.load().ingest_tracking_db.get_secret_value()


def test_without_a_database_it_is_told_what_somebody_has_set(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, said = Settings.load_without_database()
    assert (settings.allowed_containers, said) == ((), frozenset())
    file = write(clean / "s.yml", "containers: {allow: [localhost/mine]}\n")
    monkeypatch.setenv("ADI_CONVERTER_CPUS", "1")
    settings, said = Settings.load_without_database(file)
    assert (settings.allowed_containers, said) == (("localhost/mine",), frozenset({"containers", "converter_cpus"}))
    with pytest.raises(ConfigurationError, match="converter_cpus"):
        Settings.load_without_database(file, converter_cpus="none")


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("USE_REGISTER_ZARR", "false", "use_register_zarr", False),
        ("USE_REGISTER_ZARR", "true", "use_register_zarr", True),
        ("PODMAN_USERNS_MODE", "keep-id", "podman_userns_mode", "keep-id"),
        ("PODMAN_BIND_RETRY_ATTEMPTS", "4", "podman_bind_retry_attempts", 4),
        ("PODMAN_BIND_RETRY_DELAY_SECONDS", "0.5", "podman_bind_retry_delay_seconds", 0.5),
        ("ADI_RUN_MIGRATIONS", "0", "run_migrations", False),
        ("ADI_ALLOW_AUTO_STAMP", "1", "allow_auto_stamp", True),
        ("OMERO_USER", "adi", "omero_user", "adi"),
        ("ADI_OMERO_USER", "adi", "omero_user", "adi"),
        ("ADI_INTAKE", "scan", "intake", "scan"),
    ],
)
def test_variables_of_the_contract_and_ours(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, setting: str, value: object
) -> None:
    opposite = f"{setting}: {not value}".lower() if isinstance(value, bool) else ""
    monkeypatch.setenv(variable, text)
    assert getattr(load(opposite), setting) == value


def test_the_file_of_the_former_importer_is_read_as_it_stands() -> None:
    settings = load(
        "base_dir: /data\nmax_workers: 4\nlog_level: DEBUG\nlog_file_path: logs/app.logs\nparallel_upload_per_worker: 2\n"
        "parallel_filesets_per_worker: 2\nskip_checksum: false\nskip_minmax: false\nskip_thumbnails: false\n"
        "skip_upgrade: false\nskip_all: false\nuse_register_zarr: true\nshutdown_timeout: 60\n"
        "annotation_namespace: biomero.import\npreprocessing: true  # Enable containerized preprocessing\n"
        "sample_image: /auto-importer/tests/Barbie.tif\n"
        'sample_group: "Demo"\nsample_user: "researcher"\nsample_parent_id: "151"\nsample_parent_type: "Dataset"  # or "Screen"\n'
        "upload_orders_dir_name: .orders\ndata_dir_name: [a, b]\nfailed_uploads_directory_name: x\nttl_for_user_conn: 6000000\n"
    )
    assert (settings.sample_parent_id, settings.annotation_namespace, settings.use_register_zarr) == (151, "biomero.import", True)
    assert settings.legacy == ("upload_orders_dir_name", "data_dir_name", "failed_uploads_directory_name", "ttl_for_user_conn")
    assert pickle.loads(pickle.dumps(settings)).legacy == settings.legacy  # noqa: S301 (our own bytes)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("max_workers: 8", 8),
        ('max_workers: "8"', 8),
        ("max_workers: ' 8 '", 8),
        ("max_workers: 8.0", 8),
        ("skip_all: yes", True),
        ("skip_all: On", True),
        ("skip_all: 1", True),
        ("skip_all: 'no'", False),
        ("skip_all: ' yes '", True),
        ("sample_group: ' Demo '", "Demo"),
        ("log_level: debug", "DEBUG"),
        ("sample_group: 2024", "2024"),
        ("sample_group: 007", "007"),
        ("sample_group: yes", "yes"),
        ("sample_group: 2024-01-01", "2024-01-01"),
        ('sample_group: "null"', "null"),
    ],
)
def test_a_value_means_what_was_written(line: str, value: object) -> None:
    assert getattr(load(line), line.partition(":")[0]) == value


@pytest.mark.parametrize("nothing", ["", "null", "~", '""', "'  '", "# a remark"])
@pytest.mark.parametrize("setting", ["omero_host", "max_workers", "sample_parent_id", "sample_image", "log_file_path"])
def test_an_empty_value_counts_as_not_given(setting: str, nothing: str) -> None:
    assert getattr(load(f"{setting}: {nothing}"), setting) == catalogue(Settings)[setting].default


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    monkeypatch.setenv("ADI_MAX_WORKERS", empty)
    assert load("max_workers: 7").max_workers == 7


def test_the_file_is_looked_for_in_this_order(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_file(None) is None
    server = write(clean / "server" / "etc" / "omero-adi.yml", "")
    monkeypatch.setenv("OMERODIR", str(clean / "server"))
    assert find_file(None) == server
    write(clean / "config" / "settings.yml", "")
    assert find_file(None) == Path("config/settings.yml")
    named = write(clean / "named.yml", "")
    monkeypatch.setenv("ADI_CONFIG", str(named))
    assert find_file(None) == named
    assert find_file(server) == server


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lease_seconds: soon", "it must be a whole number, 5 or more. It is 'soon'. It comes from s.yml:2."),
        ("lease_seconds: 1", "it must be a whole number, 5 or more. It is '1'."),
        ("max_workers: yes", "it must be a whole number from 1 to 64. It is 'yes'."),
        ("max_workers: 65", "it must be a whole number from 1 to 64. It is '65'."),
        ("skip_all: perhaps", "it must be true or false. It is 'perhaps'."),
        ("log_level: loud", "it must be DEBUG, INFO, WARNING, ERROR or CRITICAL. It is 'loud'."),
        ("intake: tigger", "it must be trigger or scan. It is 'tigger'."),
        ("podman_bind_retry_delay_seconds: .nan", "it must be a number from 0 to 3600."),
        (
            "heartbeat_seconds: 30",
            "it must be 90 or more, 3 times `heartbeat_seconds`, which is 30. It is 60. That is the default.",
        ),
        ("max_workers: [1]", "s.yml:2: `max_workers` must be one single value"),
        ("max_workers: !env WORKERS", "s.yml:2: `max_workers` must be one single value"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be_and_where_it_stands(line: str, says: str) -> None:
    assert says in refusal(line)


def test_a_lease_of_three_heartbeats_is_long_enough() -> None:
    assert load("heartbeat_seconds: 20\nlease_seconds: 60").lease_seconds == 60


def test_a_wrong_value_of_the_environment_or_the_command_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMERO_PORT", "none")
    with pytest.raises(ConfigurationError, match=r"OMERO_PORT\) is wrong.* It comes from OMERO_PORT\."):
        Settings.load(ingest_tracking_db=URL)
    monkeypatch.delenv("OMERO_PORT")
    with pytest.raises(ConfigurationError, match=r"`max_workers`.* It comes from the command line\."):
        Settings.load(ingest_tracking_db=URL, max_workers="many")
    with pytest.raises(ConfigurationError, match=r"command line: there is no setting `max_worker`. Did you mean `max_workers`\?"):
        Settings.load(ingest_tracking_db=URL, max_worker=1)


def test_a_database_that_is_missing_or_of_another_kind_is_named(clean: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"INGEST_TRACKING_DB_URL\) is missing.*none was found: --config names one"):
        Settings.load()
    with pytest.raises(ConfigurationError, match=r"is missing. Set it in the environment or in 's.yml'"):
        Settings.load(write(Path("s.yml"), "max_workers: 3"))
    with pytest.raises(ConfigurationError, match=r"must be a URL like postgresql://user:password@host:port/database"):
        Settings.load(ingest_tracking_db="sqlite:///imports.db")


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("max_worker", "max_workers"),
        ("Max-Workers", "max_workers"),
        ("ingest_tracking_db_url", "ingest_tracking_db"),
        ("OMERO_HOST", "omero_host"),
        ("SQLALCHEMY_URL", "ingest_tracking_db"),
        ("omero_pasword_file", "omero_password_file"),
    ],
)
def test_a_misspelt_key_names_the_nearest_right_one(key: str, near: str) -> None:
    assert refusal(f"\n{key}: 8") == f"s.yml:3: there is no setting `{key}`. Did you mean `{near}`?"


def test_a_key_that_is_like_no_other_is_refused() -> None:
    assert refusal("zzz: 8") == "s.yml:2: there is no setting `zzz`. `omero adi config show` lists all settings."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"max_workers: 8\nsample_group: M\xfcnchen\n", "'s.yml' cannot be read: line 2 is not in UTF-8. Save it as UTF-8."),
        (b"max_workers: 8\n\nsample_group: a: b\n", "'s.yml' cannot be read: line 3 is no YAML."),
        (b"max_workers: 8\nbase_dir: \x07\n", "'s.yml' cannot be read: line 2 is no YAML."),
        (b"max_workers:8\n", "'s.yml' is not made of lines like `max_workers: 4`."),
        (b"- max_workers: 8\n", "'s.yml' is not made of lines like `max_workers: 4`."),
    ],
)
def test_a_file_that_is_no_settings_file_is_told_with_the_line(content: bytes, says: str) -> None:
    Path("s.yml").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(Path("s.yml"))
    assert says in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark_and_be_empty() -> None:
    Path("s.yml").write_bytes(b"\xef\xbb\xbfmax_workers: 8\n")
    assert Settings.load(Path("s.yml"), ingest_tracking_db=URL).max_workers == 8
    Path("s.yml").write_bytes(b"# nothing\n")
    assert Settings.load(Path("s.yml"), ingest_tracking_db=URL).max_workers == 4


def test_a_key_that_stands_twice_is_refused() -> None:
    says = "s.yml:4: `max_workers` is given a second time, first at s.yml:2. Remove one of the two."
    assert refusal("max_workers: 8\nbase_dir: /a\nmax_workers: 8") == says


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMERO_PORT", "none")
    told = refusal("max_worker: 8\nlease_seconds: soon\nmax_workers: no\nmax_workers: 2").splitlines()
    assert told[0] == "There are 5 mistakes in the settings:"
    assert [line[:2] for line in told[1:]] == ["- "] * 5


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("ADI_MAX_WORKER", "ADI_MAX_WORKERS"),
        ("ADI_OMERO_PASWORD_FILE", "ADI_OMERO_PASSWORD_FILE"),
        ("ADI_INGEST_TRACKING_DB_URL", "INGEST_TRACKING_DB_URL"),
        ("ADI_CONFGI", "ADI_CONFIG"),
    ],
)
def test_a_variable_that_is_very_near_to_one_of_ours_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, variable: str, near: str
) -> None:
    monkeypatch.setenv(variable, "8")
    assert refusal("") == (
        f"The variable {variable} of the environment is no setting. Did you mean {near}? Rename it, or unset it."
    )


@pytest.mark.parametrize(
    "variable", ["ADI_DATA", "ADI_DATASET", "ADI_USER", "ADI_PASSWORD", "ADI_TEST_POSTGRES_URL", "MAX_WORKER", "ADI_WHATEVER"]
)
def test_other_variables_are_nobodys_business(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "8")
    assert load("").max_workers == 4


@pytest.mark.parametrize("variable", ["max_workers", "preprocessing", "omero_host"])
def test_names_of_the_file_mean_nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "nonsense")
    assert getattr(load(""), variable) == catalogue(Settings)[variable].default


def test_a_named_file_that_is_not_there_is_an_error(clean: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(clean / "none.yml")
    assert str(caught.value) == f"The settings file '{clean / 'none.yml'}' does not exist. Correct --config or ADI_CONFIG."


def test_settings_stay_as_they_were_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load("").max_workers = 7
