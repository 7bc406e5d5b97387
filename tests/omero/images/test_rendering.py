# SPDX-License-Identifier: GPL-2.0-or-later
"""Rendering: how images are shown, whose settings count, and the pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import omero
import pytest
from omero.gateway import BlitzGateway
from omero.rtypes import rbool, rdouble

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, make_pair, rows
from tests.fixtures.omero_pixels import SHAPE, VALUES, bands, engine, image_by_hand, opened, plane, service

MAXIMUM = omero.constants.projection.ProjectionType.MAXIMUMINTENSITY
MEAN = omero.constants.projection.ProjectionType.MEANINTENSITY


def image_of(client: Any, pixels_id: int) -> int:
    return int(rows(client, "select p.image.id from Pixels p where p.id = :id", id=pixels_id)[0][0])


def test_settings_are_chosen_from_statistics_and_turns_of_colours(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown:
        assert shown.getModel().value.val == "rgb"
        assert [shown.getRGBA(c) for c in (0, 1)] == [[255, 0, 0, 255], [0, 255, 0, 255]]
        assert [shown.isActive(c) for c in (0, 1)] == [True, True]
        assert (shown.getChannelWindowStart(0), shown.getChannelWindowEnd(0)) == (0, 231)
        assert (shown.getChannelWindowStart(1), shown.getChannelWindowEnd(1)) == (1000, 1231)
        assert (shown.getDefaultZ(), shown.getDefaultT()) == (1, 0)
        assert shown.getChannelFamily(0).value.val == "linear"
        assert shown.getQuantumDef().cdEnd.val == 255
        assert (shown.getPixelsTypeLowerBound(0), shown.getPixelsTypeUpperBound(0)) == (0, 65535)
    assert rows(client, "select count(r) from RenderingDef r where r.pixels.id = :id", id=pixels_id) == [[1]]
    assert rows(client, "select count(b) from ChannelBinding b where b.renderingDef.pixels.id = :id", id=pixels_id) == [[2]]


def test_without_statistics_the_middle_section_is_looked_at(client: Any, stack: Path) -> None:
    pixels_id = InPlace(client, [stack], None, noStatsInfo=rbool(True)).run().pixels[0].id.val
    with engine(client, pixels_id) as shown:
        assert (shown.getChannelWindowStart(0), shown.getChannelWindowEnd(0)) == (100, 131)


def test_a_channel_of_one_value_shows_the_whole_type(client: Any, three: Path) -> None:
    pixels_id = InPlace(client, [three], None, noStatsInfo=rbool(False)).run().pixels[0].id.val
    with engine(client, pixels_id) as shown:
        assert (shown.getChannelWindowStart(0), shown.getChannelWindowEnd(0)) == (0, 255)


def test_one_channel_is_grey(client: Any, one: Path) -> None:
    pixels_id = InPlace(client, [one], None, noStatsInfo=rbool(False)).run().pixels[0].id.val
    with engine(client, pixels_id) as shown:
        assert shown.getModel().value.val == "greyscale"
        picture = bands(shown)
        assert (picture[..., 0] == picture[..., 2]).all()
        assert (picture[0, 0, 0], picture[-1, -1, 0]) == (0, 255)


def test_pictures_show_what_is_set(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown:
        shown.setChannelWindow(0, 0, 31)
        shown.setChannelWindow(1, 1000, 1031)
        both = bands(shown)
        expected = np.floor(VALUES[0, 0] / 31 * 255 + 0.5)
        assert (both[..., 0] == expected).all()
        assert (both[..., 1] == expected).all()
        assert not both[..., 2].any()
        shown.setActive(1, False)
        assert not bands(shown)[..., 1].any()
        shown.setRGBA(0, 0, 0, 255, 255)
        assert (bands(shown)[..., 2] == expected).all()
        models = {model.value.val: model for model in shown.getAvailableModels()}
        shown.setModel(models["greyscale"])
        assert (bands(shown) == expected[..., np.newaxis]).all()


def test_a_channel_can_be_inverted_and_bent(client: Any, pixels_id: int) -> None:
    families = {family.value.val: family for family in client.sf.getTypesService().allEnumerations("Family")}
    with engine(client, pixels_id) as shown:
        shown.setActive(1, False)
        straight = bands(shown)[..., 0]
        shown.addCodomainMapToChannel(omero.romio.ReverseIntensityMapContext(), 0)
        assert (bands(shown)[..., 0] == 255 - straight).all()
        assert len(shown.getCodomainMapContext(0)) == 1
        shown.removeCodomainMapFromChannel(omero.romio.ReverseIntensityMapContext(), 0)
        shown.setQuantizationMap(0, families["logarithmic"], 1.0, False)
        bent = bands(shown)[..., 0]
        assert (bent >= straight).all()
        assert (bent > straight).any()


def test_pictures_are_jpegs_of_the_plane_or_a_region(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown:
        assert opened(shown.renderCompressed(plane())).size == (32, 16)
        assert opened(shown.renderCompressed(plane(region=(4, 4, 10, 6)))).size == (10, 6)
        assert opened(shown.renderCompressed(plane(region=(24, 8, 32, 32)))).size == (8, 8)  # cut off at the edge
        fine = shown.renderCompressed(plane())
        shown.setCompressionLevel(0.1)
        assert len(shown.renderCompressed(plane())) < len(fine)
        assert shown.getCompressionLevel() == pytest.approx(0.1)
        packed = shown.renderAsPackedInt(plane())
        assert len(packed) == 32 * 16
        assert packed[0] & 0xFF000000 == 0xFF000000


def test_projections_show_all_sections(client: Any, pixels_id: int) -> None:
    last = SHAPE[1] - 1
    with engine(client, pixels_id) as shown:
        shown.setActive(1, False)
        highest = np.array(opened(shown.renderProjectedCompressed(MAXIMUM, 0, 1, 0, last)))
        mean = np.array(opened(shown.renderProjectedCompressed(MEAN, 0, 1, 0, last)))
        assert highest[..., 0].mean() > mean[..., 0].mean() + 50
        with pytest.raises(omero.ValidationException):
            shown.renderProjectedCompressed(MAXIMUM, 0, 1, 0, last + 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda made, _: made.load(),
        lambda made, pixels_id: (made.lookupPixels(pixels_id), made.load()),
        lambda made, _: made.getRenderingDefId(),
        lambda made, pixels_id: (made.lookupPixels(pixels_id), made.isActive(0)),
        lambda made, pixels_id: (made.lookupPixels(pixels_id), made.resetDefaultSettings(False)),
    ],
)
def test_an_engine_that_is_not_ready_says_so(client: Any, pixels_id: int, call: Callable[[Any, int], Any]) -> None:
    with service(client, "RenderingEngine") as made, pytest.raises(omero.ApiUsageException):
        call(made, pixels_id)


def test_settings_are_not_reset_before_the_engine_is_loaded(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id):
        pass
    with service(client, "RenderingEngine") as made:
        made.lookupPixels(pixels_id)
        assert made.lookupRenderingDef(pixels_id)
        with pytest.raises(omero.ApiUsageException, match="renderer is null"):
            made.resetDefaultSettings(True)


def test_settings_are_not_saved_for_pixels_that_were_not_chosen(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id):
        pass
    with service(client, "RenderingEngine") as made:
        assert made.lookupRenderingDef(pixels_id)
        for save in (made.saveCurrentSettings, made.saveAsNewSettings):
            with pytest.raises(omero.ApiUsageException, match="Pixels object not set"):
                save()


def test_what_is_missing_is_named(client: Any, pixels_id: int) -> None:
    with service(client, "RenderingEngine") as made:
        with pytest.raises(omero.ValidationException, match="Pixels object with id 99999999 not found"):
            made.lookupPixels(99999999)
        made.lookupPixels(pixels_id)
        assert made.lookupRenderingDef(pixels_id) is False
        with pytest.raises(omero.ValidationException):
            made.loadRenderingDef(99999999)


def test_a_channel_that_is_not_there_is_refused(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown, pytest.raises(omero.ServerError):
        shown.setActive(2, True)


def test_saved_settings_are_there_next_time(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown:
        shown.setActive(1, False)
        shown.setChannelWindow(0, 5, 50)
        shown.setRGBA(0, 1, 2, 3, 4)
        shown.setDefaultZ(2)
        shown.addCodomainMapToChannel(omero.romio.ReverseIntensityMapContext(), 0)
        shown.saveCurrentSettings()
        saved = shown.getRenderingDefId()
    with engine(client, pixels_id) as shown:
        assert shown.getRenderingDefId() == saved
        assert shown.isActive(1) is False
        assert (shown.getChannelWindowStart(0), shown.getChannelWindowEnd(0)) == (5, 50)
        assert shown.getRGBA(0) == [1, 2, 3, 4]
        assert shown.getDefaultZ() == 2
        assert len(shown.getCodomainMapContext(0)) == 1
        shown.removeCodomainMapFromChannel(omero.romio.ReverseIntensityMapContext(), 0)
        shown.saveCurrentSettings()
        assert shown.resetDefaultSettings(True) == saved
        assert shown.isActive(1) is True
    with engine(client, pixels_id) as shown:
        assert shown.getRGBA(0) == [255, 0, 0, 255]
        assert shown.getCodomainMapContext(0) == []


def test_settings_that_are_not_saved_are_forgotten(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown:
        shown.setActive(1, False)
    with engine(client, pixels_id) as shown:
        assert shown.isActive(1) is True


def test_a_colleague_sees_the_owners_settings_until_he_saves_his_own(client: Any, colleague: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown:
        shown.setActive(1, False)
        shown.saveCurrentSettings()
        owners = shown.getRenderingDefId()
    with engine(colleague, pixels_id) as shown:
        assert shown.getRenderingDefId() == owners
        assert shown.isActive(1) is False
        shown.setActive(0, False)
        shown.saveCurrentSettings()
        own = shown.getRenderingDefId()
        assert own != owners
    with engine(client, pixels_id) as shown:
        assert (shown.getRenderingDefId(), shown.isActive(0)) == (owners, True)
    with engine(colleague, pixels_id) as shown:
        assert (shown.getRenderingDefId(), shown.isActive(0)) == (own, False)
        shown.loadRenderingDef(owners)
        shown.load()
        assert shown.isActive(0) is True


def test_in_a_read_only_group_a_colleague_looks_and_does_not_save(devserver: OmeroServer, stack: Path) -> None:
    owner, reader = make_pair(devserver, "rwr---")
    with devserver.client(owner, PASSWORD) as client:
        pixels_id = InPlace(client, [stack], None).run().pixels[0].id.val
        with engine(client, pixels_id) as shown:
            owners = shown.getRenderingDefId()
    with devserver.client(reader, PASSWORD) as client, engine(client, pixels_id) as shown:
        assert shown.getRenderingDefId() == owners
        shown.setActive(0, False)
        assert opened(shown.renderCompressed(plane())).size == (32, 16)
        with pytest.raises(omero.SecurityViolation):
            shown.saveCurrentSettings()


def test_settings_of_many_images_are_reset_and_copied(client: Any, pixels_id: int, stack: Path) -> None:
    other = int(InPlace(client, [stack], None).run().pixels[0].id.val)
    images = [image_of(client, pixels_id), image_of(client, other)]
    settings = client.sf.getRenderingSettingsService()
    assert settings.getRenderingSettings(other) is None
    assert sorted(settings.resetDefaultsInSet("Image", images)) == sorted(images)
    with engine(client, pixels_id) as shown:
        shown.setChannelWindow(0, 7, 77)
        shown.saveCurrentSettings()
    unlike = image_of(client, image_by_hand(client))
    done = settings.applySettingsToSet(pixels_id, "Image", [images[1], unlike])
    assert done == {True: [images[1]], False: [unlike]}
    copied = settings.getRenderingSettings(other)
    assert copied.getChannelBinding(0).inputEnd.val == 77
    assert settings.resetDefaultsInSet("Image", [images[1]]) == [images[1]]
    assert settings.getRenderingSettings(other).getChannelBinding(0).inputEnd.val != 77
    assert settings.resetDefaultsInSet("Dataset", [99999999]) == []
    with pytest.raises(omero.ServerError):
        settings.resetDefaultsInSet("Experimenter", [0])


def test_the_file_says_which_colours(client: Any, pixels_id: int) -> None:
    channel = client.sf.getPixelsService().retrievePixDescription(pixels_id).getChannel(1)
    for part, value in (("red", 9), ("green", 8), ("blue", 7), ("alpha", 255)):
        setattr(channel, part, omero.rtypes.rint(value))
    client.sf.getUpdateService().saveObject(channel)
    with engine(client, pixels_id) as shown:
        assert shown.getRGBA(1) == [9, 8, 7, 255]


def test_the_gateway_renders_as_omero_web_asks_it_to(devserver: OmeroServer, user: User, client: Any, pixels_id: int) -> None:
    gateway = BlitzGateway(user.name, PASSWORD, host=devserver.host, port=devserver.ssl_port, secure=True)
    assert gateway.connect()
    try:
        image = gateway.getObject("Image", image_of(client, pixels_id))
        assert image.renderImage(0, 0).size == (32, 16)
        assert [channel.getWindowEnd() for channel in image.getChannels()] == [231, 1231]
        image.set_active_channels([1, -2], [[0, 31], [None, None]], ["0000FF", None])
        blue = np.array(image.renderImage(0, 0))
        assert blue[..., 2].max() > 200
        assert blue[..., 0].max() < 50
        image.setGreyscaleRenderingModel()
        assert image.isGreyscaleRenderingModel()
        image.setProjection("intmax")
        assert opened(image.renderJpeg(0, 0)).size == (32, 16)
        image.setProjection("normal")
        assert opened(image.renderJpegRegion(0, 0, 0, 0, 8, 8)).size == (8, 8)
        assert image.saveDefaults()
        assert opened(image.getThumbnail(64)).size == (64, 32)
        assert (image.getPrimaryPixels().getPlane(2, 1, 0) == VALUES[1, 2]).all()
        assert image.getPixelRange() == (0, 65535)
    finally:
        gateway.close()


def test_settings_are_taken_over_from_an_object_as_far_as_they_are_set(client: Any, pixels_id: int) -> None:
    models = {model.value.val: model for model in client.sf.getTypesService().allEnumerations("RenderingModel")}
    wanted = omero.model.RenderingDefI()
    wanted.model = omero.model.RenderingModelI(models["greyscale"].id, False)
    for start in (None, 1007):
        binding = omero.model.ChannelBindingI()
        if start is not None:
            binding.inputStart, binding.inputEnd, binding.active = rdouble(start), rdouble(1100), rbool(False)
        wanted.addChannelBinding(binding)
    with engine(client, pixels_id) as shown:
        shown.updateSettings(wanted)
        assert shown.getModel().value.val == "greyscale"
        assert [shown.getChannelWindowStart(c) for c in (0, 1)] == [0, 1007]
        assert [shown.isActive(c) for c in (0, 1)] == [True, False]
        assert bands(shown).any()


def test_settings_can_be_saved_as_objects(client: Any, pixels_id: int) -> None:
    with engine(client, pixels_id) as shown:
        definition_id = shown.getRenderingDefId()
    settings = client.sf.getRenderingSettingsService().getRenderingSettings(pixels_id)
    settings.getChannelBinding(0).inputStart = rdouble(11)
    client.sf.getUpdateService().saveObject(settings)
    with engine(client, pixels_id) as shown:
        assert (shown.getRenderingDefId(), shown.getChannelWindowStart(0)) == (definition_id, 11)


def test_settings_are_found_by_image_and_user(client: Any, colleague: Any, user: User, pixels_id: int) -> None:
    pixels = client.sf.getPixelsService()
    assert pixels.retrieveRndSettings(pixels_id) is None
    with engine(client, pixels_id) as shown:
        mine = shown.getRenderingDefId()
    with engine(colleague, pixels_id) as shown:
        theirs = shown.saveAsNewSettings()
    assert pixels.retrieveRndSettings(pixels_id).id.val == mine
    assert colleague.sf.getPixelsService().retrieveRndSettings(pixels_id).id.val == theirs
    assert [one.id.val for one in pixels.retrieveAllRndSettings(pixels_id, user.id)] == [mine]
    assert sorted(one.id.val for one in pixels.retrieveAllRndSettings(pixels_id, -1)) == sorted([mine, theirs])
    loaded = pixels.loadRndSettings(theirs)
    assert loaded.sizeOfWaveRendering() == 2
    assert loaded.getChannelBinding(0).family.value.val == "linear"
    assert pixels.loadRndSettings(99999999) is None


def test_an_image_of_a_client_has_colours_by_turns(client: Any) -> None:
    uint8 = client.sf.getTypesService().getEnumeration("PixelsType", "uint8")
    image = client.sf.getPixelsService().createImage(8, 8, 1, 1, [0, 1], uint8, "made", "").val
    pixels_id = rows(client, "select p.id from Pixels p where p.image.id = :id", id=image)[0][0]
    with engine(client, pixels_id) as shown:
        assert [shown.getRGBA(c)[:3] for c in (0, 1)] == [[255, 0, 0], [0, 255, 0]]
