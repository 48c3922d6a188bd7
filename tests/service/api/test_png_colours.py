"""A repaired PNG looks outside the mask as the uploaded one does, and holds the same samples there."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from service.core.report import Outcome, RepairReport
from service.images.decode import Upload, UploadLimits, read_image, read_mask
from service.images.png_chunks import read_chunks
from service.schemas.answer_builder import picture_png, told_of
from tests.service.api.hostile import png_of, png_with
from tests.service.scripted import decoded, encoded, noise

LIMITS = UploadLimits(max_bytes=1_000_000, max_pixels=100_000)
PIXELS = noise((40, 48), 1)
GAMMA_1 = (b"gAMA", (100_000).to_bytes(4))
SIZE = (b"pHYs", (3000).to_bytes(4) + (2000).to_bytes(4) + b"\1")
PQ = (b"cICP", bytes((9, 16, 0, 1)))
PRIMARIES = (b"cHRM", bytes(range(32)))


def repaired(upload: Upload, colour: tuple[int, int, int] = (200, 100, 50)) -> RepairReport:
    """Its upper left corner in one sRGB colour."""
    image = upload.image.copy()
    image[:20, :24] = colour
    return RepairReport(
        image=image,
        original=upload.image,
        seed=1,
        outcome=Outcome.REPAIRED,
        regions=(),
        models={},
        timings_s={},
    )


def kinds(png: bytes) -> list[bytes]:
    return [chunk.kind for chunk in read_chunks(png, 100)]


def profile() -> bytes:
    """sRGB with two of its primaries changed over, under another name."""
    known = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    known = known.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    return known.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


@pytest.mark.parametrize("chunks", [(GAMMA_1, SIZE), (PQ, PRIMARIES, GAMMA_1), ((b"sRGB", b"\0"), SIZE)])
def test_chunks_that_say_how_it_looks_stay_and_so_do_the_samples(chunks):
    upload = read_image(png_with(*chunks), LIMITS)
    png = picture_png(repaired(upload), upload)
    assert set(chunks) <= {(chunk.kind, chunk.data) for chunk in read_chunks(png, 100)}
    changed = (decoded(png) != PIXELS).any(-1)
    assert not changed[20:].any()
    assert not changed[:, 24:].any()
    assert changed[:20, :24].all()


def test_an_exponent_is_applied_before_the_models_look_and_taken_back_after():
    upload = read_image(png_with(GAMMA_1), LIMITS)
    linear = PIXELS[30, 30] / 255.0
    assert np.abs(upload.image[30, 30] - 255 * (1.055 * linear ** (1 / 2.4) - 0.055)).max() <= 1
    drawn = decoded(picture_png(repaired(upload), upload))[5, 5]
    light = ((np.array([200, 100, 50]) / 255 + 0.055) / 1.055) ** 2.4
    assert np.abs(drawn - 255 * light).max() <= 1


@pytest.mark.parametrize("exponent", [45_455, 1, 900_000])
def test_an_exponent_like_srgbs_or_without_sense_converts_nothing(exponent):
    upload = read_image(png_with((b"gAMA", exponent.to_bytes(4))), LIMITS)
    assert np.array_equal(upload.image, PIXELS)


def test_an_exponent_says_nothing_of_a_mask():
    grey = np.full((4, 6), 120, np.uint8)
    mask = read_mask(png_with(GAMMA_1, png=encoded(grey)), LIMITS, (4, 6))
    assert np.rint(mask * 255).max() == 120


def test_a_profile_stays_with_its_own_samples():
    content = encoded(PIXELS, icc_profile=profile())
    upload = read_image(content, LIMITS)
    assert not np.array_equal(upload.image, PIXELS)
    png = picture_png(repaired(upload, (10, 240, 10)), upload)
    assert "iCCP" in str(kinds(png))
    final = decoded(png)
    assert np.array_equal(final[20:], PIXELS[20:])
    assert np.array_equal(final[:, 24:], PIXELS[:, 24:])
    assert np.abs(final[5, 5].astype(int) - [240, 10, 10]).max() <= 6, "green is red in this profile"
    again = read_image(png, LIMITS).image
    assert np.abs(again[5, 5].astype(int) - [10, 240, 10]).max() <= 3


def test_a_profile_that_does_not_fit_changes_nothing():
    grey = np.full((40, 48), 60, np.uint8)
    upload = read_image(encoded(Pillow.fromarray(grey), icc_profile=profile()), LIMITS)
    assert np.array_equal(upload.image, np.repeat(grey[..., None], 3, -1)), "it speaks of colours"
    assert (decoded(picture_png(repaired(upload), upload))[20:] == 60).all()


def test_a_picture_that_lay_on_its_side_keeps_its_resolution():
    exif = Pillow.Exif()
    exif[0x0112] = 6
    upload = read_image(png_with(SIZE, png=encoded(PIXELS, exif=exif)), LIMITS)
    png = picture_png(repaired(upload), upload)
    (size,) = (chunk.data for chunk in read_chunks(png, 100) if chunk.kind == b"pHYs")
    assert size == SIZE[1][4:8] + SIZE[1][:4] + b"\1"


def test_broken_chunks_do_not_come_along():
    broken = (
        (b"gAMA", b"\0"),
        (b"pHYs", b"long" * 9),
        (b"cICP", b""),
        (b"iCCP", b"a\0\0" + zlib.compress(b"")),
    )
    upload = read_image(png_with(*broken[:3]), LIMITS)
    assert not {kind for kind, _ in broken} & set(kinds(picture_png(repaired(upload), upload)))


def test_what_a_new_file_cannot_hold_is_told():
    rows = zlib.compress((b"\0" + bytes(48 * 2)) * 40)
    upload = read_image(png_of(48, 40, 16, 0, rows), LIMITS)
    told = told_of(repaired(upload), upload).unused
    assert [one.reason for one in told] == ["16 bits a sample became 8", "grey became colours"]
    kept = RepairReport(
        image=upload.image,
        original=upload.image,
        seed=1,
        outcome=Outcome.CLEAN,
        regions=(),
        models={},
        timings_s={},
    )
    assert told_of(kept, upload).unused == (), "it comes back as it was"
    palette = read_image(encoded(Pillow.fromarray(PIXELS).quantize(16)), LIMITS)
    assert palette.reduced == ("a palette became colours",)
    assert read_image(encoded(PIXELS), LIMITS).reduced == ()
