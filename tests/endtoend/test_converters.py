# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders with preprocessing, from the row to images that OMERO reads from beside the source; nothing else is left."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from omero_adi_plugin.crashpoints import Point
from tests.fixtures.converting import READ_ARGUMENTS, TWO, Workshop
from tests.fixtures.official import StandIn
from tests.fixtures.services import ONCE
from tests.fixtures.waiting import wait_until

SAME = '[{"alt_path": "/out/a.ome.tif", "name": "same"}, {"alt_path": "/out/b.ome.tif", "name": "same"}]'
TYPES = (
    '{"alt_path": "/out/made.ome.tif", "name": 7, '
    '"keyvalues": [{"a": null, "b": true, "c": 1.5}, {"d": {"e": [1]}, "f": ["x", 2]}]}'
)
MAKE = 'cp "$in" "$alt/made.ome.tif"\n'


@dataclass(frozen=True, slots=True)
class Kind:
    """What a converter does, what the images are called then, and the second folder of the order."""

    script: str
    names: tuple[str, ...] = ("made.ome.tif",)
    alt: str | None = "/out"


KINDS = {
    "nested": Kind(
        'mkdir -p "$alt/a/b"; cp "$in" "$alt/a/b/deep.ome.tif"; cp "$in" "$alt/a/flat.ome.tif"', ("deep.ome.tif", "flat.ome.tif")
    ),
    "a folder": Kind(
        'mkdir "$alt/plate"; cp "$in" "$alt/plate/1.ome.tif"; cp "$in" "$alt/plate/2.ome.tif"; echo text > "$alt/other.txt"\n'
        'echo \'{"alt_path": "/out/plate"}\'',
        ("1.ome.tif", "2.ome.tif"),
    ),
    "with notes": Kind(MAKE + 'echo note > "$alt/note.txt"; echo hidden > "$alt/.made"'),
    "one name": Kind(f'cp "$in" "$alt/a.ome.tif"; cp "$in" "$alt/b.ome.tif"; echo \'{SAME}\'', ("same", "same")),
    "any values": Kind(f"{MAKE} echo '{TYPES}'", ("7",)),
    "many lines": Kind(f'seq 1 100000; {MAKE} echo \'{{"alt_path": "/out/made.ome.tif", "name": "last"}}\'', ("last",)),
    "one folder": Kind('cp "$in" "$out/made.ome.tif"', alt=None),
    "in the kept folder alone": Kind('cp "$in" "$out/made.ome.tif"; echo \'{"full_path": "/data/.processed/made.ome.tif"}\''),
    "key-values": Kind(MAKE + 'printf "stain,GFP\\nlens,10x\\n" > "$out/metadata.csv"'),
}

WRITES_KEY_VALUES = 'b=$(basename "$in"); cp "$in" "$alt/$b"; case $b in c*) ;; *) echo "who,$b" > "$out/metadata.csv";; esac'

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


def test_whatever_a_converter_makes_is_imported_as_it_says(workshop: Workshop, data_folder: Path) -> None:
    workshop.services.configure(max_workers=2, max_containers=4)
    image, orders = workshop.samples.image("scan.ome.tif"), {}
    for name, kind in KINDS.items():
        folder = data_folder / name
        folder.mkdir()
        (folder / "metadata.csv").write_text("stain,DAPI\n")
        source = shutil.copy(image, folder / "scan.ome.tif")
        converter = workshop.podman.converter(READ_ARGUMENTS + kind.script)
        orders[name] = workshop.order(source, container=converter, alt=kind.alt)
    (data_folder / "apart").mkdir()
    apart = [shutil.copy(image, data_folder / "apart" / f"{name}.ome.tif") for name in "abc"]
    converted = workshop.order(*apart, container=workshop.podman.converter(READ_ARGUMENTS + WRITES_KEY_VALUES))
    assert workshop.services.run("serve", "--once", seconds=120).returncode == 0
    told = {kind: workshop.tracking.description(order) for kind, order in orders.items()}
    assert {name: tuple(workshop.names(order)) for name, order in orders.items()} == {n: k.names for n, k in KINDS.items()}, told
    assert {name: workshop.readable(order) for name, order in orders.items()} == {n: len(k.names) for n, k in KINDS.items()}
    assert workshop.left(data_folder) == []

    def values(kind: str) -> dict[str, str]:
        [found] = workshop.lab.key_values(workshop.lab.images_with(orders[kind])[0])
        return found

    said = {key.removeprefix("processing_output_"): value for key, value in values("any values").items()}
    assert {key: said[key] for key in "abcd"} == {"a": "null", "b": "true", "c": "1.5", "d": '{"e": [1]}'}
    assert (values("nested")["csv_stain"], values("key-values")["csv_stain"]) == ("DAPI", "GFP")
    assert values("key-values")["csv_lens"] == "10x"
    of_each = {
        values["Filepath"][-9]: values.get("csv_who")
        for (values,) in map(workshop.lab.key_values, workshop.lab.images_with(converted))
    }
    assert of_each == {"a": "a.ome.tif", "b": "b.ome.tif", "c": None}, "key-values that a converter writes are for one source"
    tag = converted[:8]
    kept = ["a.ome.tif", "b.ome.tif", "c.ome.tif", f"metadata.{tag}-2.csv", f"metadata.{tag}.csv"]
    assert sorted(path.name for path in (data_folder / "apart" / ".processed").iterdir()) == kept
    log = workshop.log(orders["many lines"])
    assert [f'="{line}"' in log or f"={line} " in log or f"={line}\n" in log for line in (1, 50000, 100000)] == [True] * 3


def test_inputs_of_an_order_are_converted_in_parallel_each_in_a_folder_of_its_own(workshop: Workshop, data_folder: Path) -> None:
    workshop.services.configure(max_containers=3)
    meet = READ_ARGUMENTS + (
        'touch "$out/$(basename $in).here"; n=0\n'  # each waits for the others, which it sees if they run beside it
        'while [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done & sleep 0.1; cp "$in" "$alt/made.ome.tif"; kill %1\n'
    )
    sources = [workshop.samples.image(f"{number}.ome.tif", seed=number) for number in range(3)]
    order = workshop.order(*sources, container=workshop.podman.converter(meet))
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.tracking.stages(order)[-1] == "Import Completed", workshop.tracking.description(order)
    assert workshop.readable(order) == 3
    kept = {path.read_bytes() for path in (Path(sources[0]).parent / ".processed").glob("made*.ome.tif")}
    assert kept == {Path(source).read_bytes() for source in sources}
    assert workshop.left(data_folder) == []


def test_a_converter_does_not_run_again_for_what_is_kept(workshop: Workshop, data_folder: Path) -> None:
    image = workshop.podman.converter(READ_ARGUMENTS + 'echo converting >&2; cp "$in" "$alt/made.ome.tif"')
    source = Path(workshop.samples.image("scan.ome.tif"))
    order = workshop.order(source, container=image)
    assert workshop.services.run(*ONCE).returncode == 0
    kept = source.parent / ".processed" / "made.ome.tif"

    def lost_and_ordered_again() -> int:
        """Return how often the converter has run by then."""
        hql = "select distinct i.fileset.id from Image i where i.id in (:ids)"
        [[fileset]] = workshop.lab.session.query(hql, ids=workshop.lab.images_with(order))
        workshop.lab.gateway().deleteObjects("Fileset", [fileset], wait=True)
        assert workshop.services.run("orders", "retry", order, "--again").returncode == 0
        assert workshop.services.run(*ONCE).returncode == 0
        assert workshop.readable(order) == 1
        assert workshop.left(data_folder) == []
        return workshop.log(order, "errs").count("text=converting")

    assert lost_and_ordered_again() == 1
    kept.write_bytes(kept.read_bytes() + b"changed by somebody")
    assert lost_and_ordered_again() == 2
    assert kept.read_bytes().endswith(b"changed by somebody")


def test_omeros_own_importer_takes_what_was_made_from_where_it_is_kept(
    workshop: Workshop, stand_in: StandIn, data_folder: Path
) -> None:
    workshop.services.configure(importer="omero", skip_minmax=True)
    source = Path(workshop.samples.image("scan.ome.tif", seed=1))
    order = workshop.order(source, container=workshop.podman.converter(TWO))
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.tracking.stages(order)[-1] == "Import Completed", workshop.tracking.description(order)
    assert workshop.names(order) == ["The first", "The second"]
    assert workshop.readable(order) == 2
    [call] = stand_in.calls
    kept = source.parent / ".processed"
    assert {str(kept / "one.ome.tif"), str(kept / "two.ome.tif")} <= set(call["words"]) | set(map(str, workshop.links().values()))
    said = {workshop.lab.key_values(image)[0]["processing_output_scanner"] for image in workshop.lab.images_with(order)}
    assert said == {"one", "2"}
    assert workshop.left(data_folder) == []


def test_a_plate_that_a_converter_makes_goes_into_a_screen(workshop: Workshop, data_folder: Path) -> None:
    workshop.services.configure(bioformats_jar=None)
    plate = "p&plates=1&plateRows=1&plateCols=2&fields=1.fake"
    source = data_folder / "screen.db"
    source.write_text("wells")
    order = workshop.order(source, container=workshop.podman.converter(READ_ARGUMENTS + f'touch "$alt/{plate}"'), target="Screen")
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.tracking.stages(order)[-1] == "Import Completed", workshop.tracking.description(order)
    hql = "select count(p.id) from Plate p join p.annotationLinks l join l.child a join a.mapValue v where v.value = :v"
    assert workshop.lab.session.query(hql, v=order) == [[1]]
    assert workshop.left(data_folder) == []


def test_images_whose_kept_files_were_harmed_before_their_links_lead_there_show_what_is_made_anew(
    workshop: Workshop, data_folder: Path, tmp_path: Path
) -> None:
    sources = [Path(workshop.samples.image(f"{harm}.ome.tif", seed=seed)) for seed, harm in enumerate(("removed", "changed"))]
    script = READ_ARGUMENTS + 'cp "$in" "$alt/made-$(basename $in)"'
    order = workshop.order(*sources, container=workshop.podman.converter(script))
    service = workshop.services.start(crash_point=f"{Point.LINK_RENEWED}:{tmp_path / 'dead'}")
    wait_until((tmp_path / "dead").exists, what="the worker's death")
    workshop.services.kill(service)
    removed, changed = (source.parent / ".processed" / f"made-{source.name}" for source in sources)
    removed.unlink()
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    workshop.services.start()
    workshop.done(order)
    assert workshop.tracking.stages(order)[-1] == "Import Completed", workshop.tracking.description(order)
    assert workshop.readable(order) == 2
    shown = {leads_to.read_bytes() for leads_to in workshop.links().values() if data_folder in leads_to.parents}
    assert shown == {source.read_bytes() for source in sources}
    assert workshop.left(data_folder) == []
