# SPDX-License-Identifier: GPL-2.0-or-later
"""Converters see nothing that an order may not have, whatever it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.converting import READ_ARGUMENTS, Workshop
from tests.fixtures.services import ONCE

pytestmark = pytest.mark.usefixtures("without_java")

TELL = READ_ARGUMENTS + 'echo "it sees $(cat $in)" >&2; exit 1'


def test_an_order_for_a_root_does_not_show_a_converter_what_lies_beside_it(workshop: Workshop, data_folder: Path) -> None:
    root, others = data_folder / "ours", data_folder / "others"
    for folder in (root, others):
        folder.mkdir()
    (others / "secret").write_text("what others have")
    workshop.services.configure(group_roots={workshop.lab.group: [str(root)]})
    image = workshop.podman.converter(TELL)
    order = workshop.order(root, container=image, input_file="/data/others/secret")
    assert workshop.services.run(*ONCE).returncode == 0
    assert f"'{data_folder}' lies outside '{root}'" in workshop.tracking.description(order)
    assert "it sees" not in workshop.log(order)
    assert sorted(path.name for path in data_folder.iterdir()) == ["mylab", "others", "ours"]
    assert workshop.left(data_folder) == []
