# SPDX-License-Identifier: GPL-2.0-or-later
"""The example of a converter, built as its Dockerfile says and used: tried by itself, then by an order.

No registry is needed: the base of the image is a Debian from the mirror of this machine, which takes root, and a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.laboratory import Lab
from tests.fixtures.podman import Podman
from tests.fixtures.services import Services, clean

EXAMPLE = Path(__file__).parents[2] / "examples" / "converter"
BASE, IMAGE = "localhost/adi-test/python:1", "localhost/adi-test/converter-of-arrays:1"
PACKAGES = "python3-tifffile"
BUILD_SECONDS = 600

pytestmark = [pytest.mark.long, pytest.mark.timeout(2 * BUILD_SECONDS)]


def mirror() -> str:
    """Where this machine gets its own packages from."""
    for file in sorted(Path("/etc/apt").glob("sources.list.d/*.sources")):
        for line in file.read_text().splitlines():
            if line.startswith("URIs:") and "debian" in line:
                return line.split()[1]
    for file in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt").glob("sources.list.d/*.list"))):
        for line in file.read_text().splitlines() if file.exists() else ():
            if line.startswith("deb ") and "debian" in line:
                return next(word for word in line.split() if "://" in word)
    return "http://deb.debian.org/debian"


def run(*command: str | Path, podman: Podman | None = None) -> None:
    # with CONTAINER_HOST podman's command line would be a client of the service, which cannot build
    own = {name: value for name, value in os.environ.items() if name != "CONTAINER_HOST"}
    own |= {} if podman is None else {name: value for name, value in podman.environment.items() if name != "CONTAINER_HOST"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("debian")
    root, archive = folder / "root", folder / "root.tar"
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root, mirror())
    run("tar", "-C", root, "-cf", archive, ".")
    run("rm", "-rf", "--one-file-system", root)
    run("podman", "import", "--quiet", archive, BASE, podman=podman)
    archive.unlink()
    run("podman", "build", "--network=none", "--build-arg", f"BASE={BASE}", "--tag", IMAGE, EXAMPLE, podman=podman)
    yield IMAGE
    run("podman", "rmi", "--force", IMAGE, BASE, podman=podman)


def test_the_example_is_built_and_converts_for_an_order(
    image: str, podman: Podman, lab: Lab, services: Services, data_folder: Path, tmp_path: Path
) -> None:
    stack = np.random.default_rng(1).integers(0, 4000, (4, 30, 40), dtype=np.uint16)
    np.save(data_folder / "cells.npy", stack)
    (tmp_path / "temp").mkdir()
    services.configure(containers={"allow": [image]}, converter_temp=str(tmp_path / "temp"))
    asked = ["--container", image, "--param", "pixel-size=0.2"]

    keep = ["--json", "--keep", str(tmp_path / "made")]
    command = [sys.executable, "-m", "omero_adi_plugin", "convert", "cells.npy", *asked, *keep]
    tried = subprocess.run(command, cwd=data_folder, env=clean(), capture_output=True, text=True, timeout=60, check=False)
    assert tried.returncode == 0, tried.stderr
    told = json.loads(tried.stdout)
    assert [(each["name"], each["format"], each["images"]) for each in told["outputs"]] == [
        ("cells", "OME-TIFF", 1),
        ("cells, projection", "OME-TIFF", 1),
    ]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["cells-projection.ome.tiff", "cells.ome.tiff"]
    assert [path.name for path in data_folder.iterdir()] == ["cells.npy"]

    into = ["--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group]
    done = services.run("import", data_folder / "cells.npy", *into, *asked, "--json")
    assert done.returncode == 0, done.stderr
    found = dict(lab.session.query("select i.name, i.id from Image i where i.id in (:ids)", ids=lab.images()))
    assert sorted(found) == ["cells", "cells, projection"]
    [[size]] = lab.session.query("select p.physicalSizeX.value from Pixels p where p.image.id = :id", id=found["cells"])
    assert size == 0.2
    [pairs] = lab.key_values(found["cells, projection"])
    assert pairs["processing_output_Projection"] == "maximum"
    assert pairs["processing_output_Brightest"] == str(float(np.max(stack)))
    assert sorted(path.name for path in (data_folder / ".processed").iterdir()) == ["cells-projection.ome.tiff", "cells.ome.tiff"]
    assert podman.containers() == []
