# SPDX-License-Identifier: GPL-2.0-or-later
"""How usable the development server is with 100,000 images in one Dataset.

    .venv/bin/python benchmarks/devserver_scale.py [--filesets 1000] [--images 100]

One OME-TIFF of many images is imported and its rows are copied in the database, once to few filesets and once to many. Then
both servers are asked what clients ask: lists, counts, searches, an import and a deletion of one fileset. What is printed is
the time with many filesets, and how many times that is the time with few of them.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import omero
import omero.all
import omero.cmd
import tifffile
from devserver_clients import finished, import_in_place, new_dataset, scratch, served
from omero.rtypes import rstring

from omero_devserver.model.schema import ROOTS
from omero_devserver.model.tables import DETAILS, columns_of, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEW = 10
IMAGE = (
    "select obj from Image obj join fetch obj.details.owner as owner left outer join fetch obj.details.externalInfo"
    " join fetch obj.details.creationEvent"
)
QUERIES = {
    "count the images of the Dataset": (
        "select chl.parent.id, count(chl.id) from DatasetImageLink chl where chl.parent.id in (:ids) group by chl.parent.id",
        "project",
    ),
    "ids of all its images (ezomero)": (
        "SELECT i.id FROM Dataset d JOIN d.imageLinks dil JOIN dil.child i WHERE d.id=:id",
        "project",
    ),
    "100 of its images, by name (OMERO.web)": (
        (
            "select new map(image.id as id, image.archived as archived, image.name as name, image.details.owner.id as ownerId,"
            " image as image_details_permissions, image.fileset.id as filesetId ) from Image image join image.datasetLinks dlink"
            " where dlink.parent.id = :id order by lower(image.name), image.id"
        ),
        "page",
    ),
    "100 of its images (BlitzGateway)": (
        f"{IMAGE} join obj.datasetLinks dlink where dlink.parent.id = :id order by lower(obj.name), obj.id",
        "page",
    ),
    "one image by id (BlitzGateway)": (f"{IMAGE} where obj.id in (:images)", "find"),
    "annotations of an image's fileset": (
        (
            "select ann.id, ann.ns, ann.textValue from Fileset as fileset join fileset.annotationLinks as a_link"
            " join a_link.child as ann where fileset.id in ( select distinct(i_fileset.id) from Fileset as i_fileset"
            " join i_fileset.images as i_image where i_image.id in (:images))"
        ),
        "project",
    ),
    "files of an image": (
        (
            "select ofile from FilesetEntry as fse join fse.fileset as fileset join fse.originalFile as ofile"
            " join fileset.images as image where image.id in (:images)"
        ),
        "find",
    ),
    "a fileset by its marker": (
        "select l.parent.id from FilesetAnnotationLink l where l.child.textValue = :text and l.child.ns = :ns",
        "project",
    ),
    "images in no Dataset (OMERO.web)": (
        (
            "select count(image.id) from Image image where image.details.owner.id = :owner and not exists"
            " ( select dilink from DatasetImageLink as dilink where dilink.child.id = image.id ) and not exists"
            " ( select ws from WellSample ws where ws.image.id = image.id )"
        ),
        "project",
    ),
    "1,000 filesets, newest first (omero fs)": (
        (
            "select fs.id, fs.templatePrefix, (select size(f2.images) from Fileset f2 where f2.id = fs.id) from Fileset fs"
            " where 1 = 1 group by fs.id, fs.templatePrefix order by fs.id desc"
        ),
        "project",
    ),
}


def main() -> None:
    """Measure both servers, and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filesets", type=int, default=1000, help=f"how many (1000); compared with {FEW}")
    parser.add_argument("--images", type=int, default=100, help="of each fileset (100)")
    given = parser.parse_args()
    with scratch() as folder:
        source = folder / "many.ome.tif"
        with tifffile.TiffWriter(source, ome=True) as writer:
            for number in range(given.images):
                writer.write(np.full((16, 16), number, "u1"), metadata={"axes": "YX", "Name": f"part {number}"})
        few = dict(measured(folder / "few", source, filesets=FEW))
        many = dict(measured(folder / "many", source, filesets=given.filesets))
    print(f"\n{'ms':42} {FEW * given.images:>10,} {given.filesets * given.images:>10,} {'ratio':>8}   images in the Dataset")
    for name, short in few.items():
        print(f"{name:42} {short:10.1f} {many[name]:10.1f} {many[name] / short:8.1f}")


def measured(data: Path, source: Path, *, filesets: int) -> Iterator[tuple[str, float]]:
    """Yield what each thing takes on a server with so many filesets, in ms."""
    with served(data, "--step-seconds", "0") as server, server.client() as client:
        dataset = new_dataset(client)
        before = newest(data)
        first = import_in_place(client, source, dataset)
    began = time.monotonic()
    multiply(data, before, copies=filesets - 1)
    print(f"{filesets:,} filesets made in {time.monotonic() - began:.0f} s")
    with served(data, "--step-seconds", "0") as server, server.client() as client:
        query = client.sf.getQueryService()
        parameters = omero.sys.ParametersI().addId(dataset).addIds([dataset])
        for name, value in (("text", marker(client, first)), ("ns", "benchmark")):
            parameters.add(name, rstring(value))
        parameters.add("owner", omero.rtypes.rlong(0))
        image = query.projection("select max(i.id) from Image i", None)[0][0]
        parameters.add("images", omero.rtypes.rlist([image]))
        for name, (hql, how) in QUERIES.items():
            yield name, timed(lambda hql=hql, how=how: ask(query, hql, how, parameters))
        yield "import one more fileset", timed(lambda: import_in_place(client, source, dataset), times=3)
        yield "link 1,000 images to another Dataset", timed(lambda: link(client, image.val), times=1)
        delete = omero.cmd.Delete2(targetObjects={"Fileset": [first]})
        yield "delete one fileset", timed(lambda: finished(client, client.sf.submit(delete)), times=1)
        left = query.projection("select count(i) from Image i where i.fileset.id = :id", omero.sys.ParametersI().addId(first))
        if left[0][0].val:
            raise SystemExit("The fileset was not deleted.")


def ask(query: Any, hql: str, how: str, parameters: Any) -> None:
    """Send a query in the way that clients do."""
    mine = omero.sys.ParametersI(parameters.map)
    if how == "page":
        mine.page(0, 100)
    if hql.startswith("select obj") or how == "find":
        query.findAllByQuery(hql, mine)
    else:
        query.projection(hql, mine)


def marker(client: Any, fileset: int) -> str:
    """Read the marker of a fileset."""
    hql = "select l.child.textValue from FilesetAnnotationLink l where l.parent.id = :id"
    return str(client.sf.getQueryService().projection(hql, omero.sys.ParametersI().addId(fileset))[0][0].val)


def link(client: Any, last_image: int) -> None:
    """Link 1,000 images to a new Dataset in one call."""
    other = omero.model.DatasetI(new_dataset(client, "other"), False)
    links = []
    for number in range(1000):
        one = omero.model.DatasetImageLinkI()
        one.parent, one.child = other, omero.model.ImageI(last_image - number, False)
        links.append(one)
    client.sf.getUpdateService().saveAndReturnIds(links)


def timed(work: Any, times: int = 5) -> float:
    """Return the shortest of some times, in ms."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


# --- many rows --------------------------------------------------------------------------------------------------------


def newest(data: Path) -> dict[str, int]:
    """Return the highest id of each table."""
    with closing(sqlite3.connect(data / "omero.sqlite")) as connection:
        return {root: connection.execute(f"SELECT coalesce(max(id), 0) FROM t_{root}").fetchone()[0] for root in ROOTS}  # noqa: S608


def multiply(data: Path, before: dict[str, int], *, copies: int) -> None:
    """Copy all rows that came after `before`, so many times; references among them lead to the copies."""
    after = newest(data)
    count = {root: after[root] - before[root] for root in ROOTS}
    with closing(sqlite3.connect(data / "omero.sqlite")) as connection, connection:
        for root in (root for root, number in count.items() if number):
            targets = targets_of(root) | dict(DETAILS.values())
            values = {name: copied(name, targets.get(name), before, count) for name in columns_of(root)}
            values["id"] = f"id + n * {count[root]}"
            if root == "OriginalFile":
                values["c_path"] = "c_path || n || '/'"
            if root == "Annotation":
                values["c_textValue"] = "c_textValue || '-' || n"
            connection.execute(
                f"WITH RECURSIVE copy(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {copies})"  # noqa: S608
                f" INSERT INTO t_{root} ({', '.join(values)}) SELECT {', '.join(values.values())}"
                f" FROM copy, t_{root} WHERE id > {before[root]} AND id <= {after[root]}"
            )


def copied(column: str, target: str | None, before: dict[str, int], count: dict[str, int]) -> str:
    """Write the SQL for the value of a column in copy number `n`."""
    if target is None or not count.get(target):
        return column
    return f"CASE WHEN {column} > {before[target]} THEN {column} + n * {count[target]} ELSE {column} END"


if __name__ == "__main__":
    main()
