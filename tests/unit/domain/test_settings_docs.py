# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/settings.md says of each setting what the model says. Run as a program, this writes the page's table anew."""

import re
from pathlib import Path

import yaml

from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.catalogue import PREFIX, Entry, catalogue
from omero_adi_plugin.settings.checking import LEGACY_KEYS, file_keys

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
TABLE = re.compile(r"(?<=<!-- settings: )(.*?-->\n).*?(?=<!-- end of settings -->)", re.DOTALL)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def default(entry: Entry) -> str:
    if entry.required:
        return "none, it must be given"
    if entry.default is None or entry.secret:
        return "not set"
    return f"`{str(entry.default).lower()}`" if isinstance(entry.default, bool) else f"`{entry.default}`"


def row(entry: Entry) -> str:
    others = [variable for variable in entry.variables if variable != f"{PREFIX}{entry.name.upper()}"]
    variables = ", ".join(f"`{variable}`" for variable in others or entry.variables)
    return f"| `{entry.name}` | {variables} | {default(entry)} | {entry.expected} | {cell(entry.description)} |\n"


def table() -> str:
    head = "| setting | environment | default | value | what for |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(map(row, catalogue(Settings).values()))


def with_table(page: str) -> str:
    return TABLE.sub(lambda found: found[1] + table(), page)


def test_the_table_of_settings_is_that_of_the_model() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert TABLE.search(page)
    assert page == with_table(page), "docs/settings.md is out of date: run `python tests/unit/domain/test_settings_docs.py`"


def test_the_page_names_every_secret_and_every_legacy_key() -> None:
    page = PAGE.read_text(encoding="utf-8")
    secrets = [entry for entry in catalogue(Settings).values() if entry.secret]
    wanted = {*LEGACY_KEYS, *file_keys(catalogue(Settings)), *(f"{name}_FILE" for entry in secrets for name in entry.variables)}
    assert [name for name in sorted(wanted) if f"`{name}`" not in page] == []


def test_the_example_of_the_page_is_a_settings_file() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    known = catalogue(Settings)
    assert yaml.safe_load(example).keys() <= {*known, *file_keys(known)}


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
