# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders with preprocessing, from the row to images that OMERO reads from beside the source; nothing else is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.converting import COPY, READ_ARGUMENTS, TWO, Workshop
from tests.fixtures.services import ONCE

pytestmark = pytest.mark.usefixtures("without_java")


def test_two_outputs_of_a_file_are_imported_each_with_its_name_and_key_values(workshop: Workshop, data_folder: Path) -> None:
    image = workshop.podman.converter(TWO)
    source = Path(workshop.samples.image("scan.ome.tif", seed=1))
    (source.parent / "metadata.csv").write_text("key,value\nstain,DAPI\n")
    order = workshop.order(source, container=image, parameters={"saveoption": "single"})
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.tracking.stages(order) == ["Import Pending", "Import Started", "Import Preprocessing", "Import Completed"]
    assert workshop.names(order) == ["The first", "The second"]
    assert workshop.readable(order) == 2
    kept = source.parent / ".processed"
    assert sorted(path.name for path in kept.iterdir()) == ["one.ome.tif", "two.ome.tif"]
    leads_to = set(workshop.links().values())
    assert {kept / "one.ome.tif", kept / "two.ome.tif"} <= leads_to
    for number in workshop.lab.images_with(order):
        [values] = workshop.lab.key_values(number)
        [[name]] = workshop.lab.session.query("select i.name from Image i where i.id = :id", id=number)
        file = "one.ome.tif" if name == "The first" else "two.ome.tif"
        assert values["processing_output_scanner"] == ("one" if name == "The first" else "2")
        assert ("processing_output_lens" in values) == (name == "The first")
        assert values["processing_output_container_digest"].startswith("sha256:")
        assert (values["Filepath"], values["Imported_from"]) == (str(source), str(kept / file))
        assert (values["preprocessing_container"], values["csv_stain"]) == (image, "DAPI")
        assert json.loads(values["preprocessing_extra_params"]) == {"saveoption": "single"}
    assert workshop.left(data_folder) == []
    assert "looking at /data/scan.ome.tif" in workshop.log(order)
    assert "a warning" in workshop.log(order, "errs")
