# SPDX-License-Identifier: GPL-2.0-or-later
"""Which image a name means, and which pattern lets it run."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from omero_adi_plugin.containers.images import choose
from omero_adi_plugin.containers.names import Name, Pattern
from omero_adi_plugin.errors import ConverterNotAllowed, OrderMalformed
from omero_adi_plugin.settings import Settings

ONE, OTHER = (f"sha256:{each * 64}" for each in "ab")


def allowing(*patterns: str) -> Settings:
    return Settings(ingest_tracking_db=SecretStr("postgresql://u@h/d"), containers={"allow": patterns})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("cellularimagingcf/converter:v1.0", "docker.io/cellularimagingcf/converter:v1.0"),
        ("lab/a/b", "docker.io/lab/a/b:latest"),
        ("ghcr.io/lab/converter", "ghcr.io/lab/converter:latest"),
        ("localhost/converter:1", "localhost/converter:1"),
        ("registry:5000/converter:1", "registry:5000/converter:1"),
        (f"lab/converter:1@{ONE}", f"docker.io/lab/converter@{ONE}"),
        ("a" * 64, f"docker.io/library/{'a' * 64}:latest"),  # an id of an image on this host is no name
    ],
)
def test_a_name_without_a_registry_means_dockers(text: str, meant: str) -> None:
    assert str(Name.read(text)) == meant


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-v",
            "--privileged",
            "Lab/Converter",
            "lab/",
            "lab//x",
            "lab/x:",
            "lab/x@",
            "lab/x y",
            "lab/x\n",
            "../../etc",
            "lab/x:1:2",
        ),
        *(
            f"lab/x@{ONE[:-1]}",
            "lab/x@md5:abc",
            f"lab/x@{ONE}@{ONE}",
            "docker://lab/x",
            "oci-archive:/etc/passwd",
            "dir:/etc",
            "/etc",
        ),
        *("http://lab.org/x", "lab.org:port/x", "lab/x?y", "lab/ä", "a/" + "b" * 300, "lab/*", "docker.io/lab/x:*"),
    ],
)
def test_what_is_no_name_of_an_image_is_refused(text: str) -> None:
    with pytest.raises(OrderMalformed, match=r"no name of an image"):
        Name.read(text)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("lab/*", ["lab/x", "docker.io/lab/x:1", f"lab/x@{ONE}"], ["lab/x/y", "ghcr.io/lab/x", "lab", "labs/x", "xlab/x"]),
        ("docker.io/busybox", ["busybox", "docker.io/library/busybox:3"], ["lab/busybox", "busybox2", "ghcr.io/busybox"]),
        ("*", ["busybox"], ["lab/x", "ghcr.io/x", "localhost/x"]),
        (
            "ghcr.io/*/conv-*:v1.*",
            ["ghcr.io/lab/conv-a:v1.2"],
            ["ghcr.io/lab/conv-a", "ghcr.io/lab/conv-a:v2", "ghcr.io/a/b/conv-a:v1.2"],
        ),
        ("lab/x:1", ["lab/x:1"], ["lab/x", "lab/x:11", f"lab/x@{ONE}", f"lab/x:1@{ONE}"]),
        ("lab/x", ["lab/x", "lab/x:1", f"lab/x@{ONE}"], ["lab/xy"]),
        ("lab/x:*", ["lab/x", "lab/x:1", f"lab/x:1@{ONE}"], []),
        ("lab/x:latest", ["lab/x"], ["lab/x:1"]),
        (f"lab/x@{ONE}", ["lab/x", "lab/x:7", f"lab/x:7@{ONE}"], [f"lab/x@{OTHER}", "lab/y"]),
        ("registry:5000/*", ["registry:5000/x:1"], ["registry/x", "registry:5001/x"]),
        ("lab.x/y", ["lab.x/y"], ["labxx/y"]),
        ("lab/[a-z]?", [], ["lab/ab", "lab/a"]),
    ],
)
def test_a_pattern_lets_run_what_it_names_and_nothing_else(pattern: str, fitting: list[str], others: list[str]) -> None:
    assert [each for each in fitting if Pattern.read(pattern).fitting(Name.read(each)) is None] == []
    assert [each for each in others if Pattern.read(pattern).fitting(Name.read(each)) is not None] == []


def test_a_pattern_with_a_digest_has_that_very_image_run() -> None:
    assert str(choose("lab/x:7", settings=allowing("other/y", f"lab/x@{ONE}"))) == f"docker.io/lab/x@{ONE}"
    # what another pattern lets run as it was asked for runs so
    assert str(choose("lab/x:7", settings=allowing(f"lab/x@{ONE}", "lab/x"))) == "docker.io/lab/x:7"
    assert str(choose(f"lab/x@{OTHER}", settings=allowing("lab/*"))) == f"docker.io/lab/x@{OTHER}"


def test_what_no_pattern_fits_does_not_run() -> None:
    for settings in (allowing(), allowing("lab/y")):
        with pytest.raises(ConverterNotAllowed, match=r"lab/x:7"):
            choose("lab/x:7", settings=settings)
