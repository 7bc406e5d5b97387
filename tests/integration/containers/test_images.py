# SPDX-License-Identifier: GPL-2.0-or-later
"""Images from a registry: a small one of our own, which speaks what podman wants to hear and may be away."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from omero_adi_plugin.errors import ConverterMissing, PodmanDown
from tests.fixtures.podman import Podman
from tests.integration.containers.conftest import Place

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """Serves images that podman has written to folders, over HTTP.

    Source: OCI distribution specification 1.1, "Pulling".
    """

    def __init__(self, podman: Podman, folder: Path) -> None:
        self._podman, self._folder = podman, folder
        self._images: dict[str, Path] = {}
        self.asked: list[str] = []
        self.refuses = False
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                status, kind, content = registry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self.server.server_port}"

    def publish(self, name: str, tag: str, script: str) -> str:
        """Offer an image, which is a shell script; return its digest."""
        place = self._folder / f"{name.replace('/', '-')}-{tag}-{len(script)}"
        image = self._podman.converter(script, name=f"to-push-{uuid4().hex}")
        self._podman("push", image, f"dir:{place}")
        self._podman("rmi", image)  # else podman has what is to be fetched
        manifest = (place / "manifest.json").read_bytes()
        known = f"sha256:{_sha256(manifest)}"
        for reference in (tag, known):
            self._images[f"{name}/manifests/{reference}"] = place / "manifest.json"
        for blob in place.iterdir():
            self._images[f"{name}/blobs/sha256:{blob.name}"] = blob
        return known

    def answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/v2/":
            return 200, "application/json", b"{}"
        file = self._images.get(path.removeprefix("/v2/"))
        if self.refuses:
            return 403, "application/json", _error("DENIED", "requested access to the resource is denied")
        if file is None:
            return 404, "application/json", _error("MANIFEST_UNKNOWN", "manifest unknown")
        content = file.read_bytes()
        return 200, MANIFEST if file.name == "manifest.json" else "application/octet-stream", content


def _error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def registry(podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    made = Registry(podman, tmp_path / "registry")
    (tmp_path / "registry").mkdir()
    settings = tmp_path / "registries.conf"
    settings.write_text(f'[[registry]]\nlocation = "{made.name}"\ninsecure = true\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(settings))
    # by a podman of our own: the service of all tests does not know this registry
    monkeypatch.delenv("CONTAINER_HOST")
    monkeypatch.setattr("omero_adi_plugin.containers.engine._usual", lambda: Path("/nobody/listens/here"))
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()
    podman("rmi", "--force", *podman("images", "--quiet", f"{made.name}/*/*").split(), check=False)


def test_an_image_is_fetched_when_it_is_missing_or_always_or_never(place: Place, registry: Registry) -> None:
    allow = {"containers": {"allow": [f"{registry.name}/lab/*"]}}
    name = f"{registry.name}/lab/converter:1"
    never = place.converters(**allow, converter_pull="never")
    missing, always = place.converters(**allow), place.converters(**allow, converter_pull="always")

    first = registry.publish("lab/converter", "1", "echo first")
    with pytest.raises(ConverterMissing, match=r"none is fetched \(`converter_pull: never`\)"):
        never.image(name)
    assert registry.asked == []
    had = missing.image(name)
    assert (had.name, had.digest) == (name, first)
    assert place.carry_out(missing, place.task(name), had) == "first"

    second = registry.publish("lab/converter", "1", "echo the second one")
    assert missing.image(name) == never.image(name) == had
    newer = always.image(name)
    assert newer.digest == second
    # what was looked at is what runs, whatever the name means by now
    assert place.carry_out(missing, place.task(name), had) == "first"
    assert place.carry_out(always, place.task(name), newer) == "the second one"


def test_a_digest_is_what_runs(place: Place, registry: Registry) -> None:
    first = registry.publish("lab/pinned", "1", "echo first")
    registry.publish("lab/pinned", "1", "echo the second one")
    converters = place.converters(containers={"allow": [f"{registry.name}/lab/pinned@{first}"]})
    image = converters.image(f"{registry.name}/lab/pinned:1")
    assert any(first in each for each in registry.asked)
    assert (image.name, image.digest) == (f"{registry.name}/lab/pinned@{first}", first)
    assert place.carry_out(converters, place.task(image.name), image) == "first"


def test_what_a_registry_does_not_have_or_give_is_missing_and_one_that_is_away_may_come_back(
    place: Place, registry: Registry
) -> None:
    converters = place.converters(containers={"allow": [f"{registry.name}/lab/*", "127.0.0.1:1/*", "localhost/*"]})
    with pytest.raises(ConverterMissing, match="manifest unknown"):
        converters.image(f"{registry.name}/lab/unknown:1")
    registry.refuses = True
    with pytest.raises(ConverterMissing, match="denied"):
        converters.image(f"{registry.name}/lab/secret:1")
    with pytest.raises(ConverterMissing, match="no image of that name"):
        converters.image("localhost/never-made:1")
    with pytest.raises(PodmanDown, match="could not be fetched"):
        converters.image("127.0.0.1:1/x:1")
