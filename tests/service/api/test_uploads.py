from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as Pillow
from PIL import ImageCms

from service.core.errors import AnatomendError, InvalidImage, InvalidRequest, TooLarge
from service.images.decode import UploadLimits, read_image, read_mask
from service.images.jpeg import read_jpeg
from service.images.png import read_png
from service.images.webp import read_webp
from tests.service.api.hostile import SECRET, bitstream, canvas, exif, jpeg_with, png_of, png_with, riff
from tests.service.scripted import encoded, noise

LIMITS = UploadLimits(max_bytes=1_000_000, max_pixels=100_000)

RGB = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
RGBA = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4)))


@settings(max_examples=60, deadline=None)
@given(RGB, st.sampled_from([("PNG", {}), ("WEBP", {"lossless": True})]))
def test_lossless_pictures_keep_every_pixel(pixels, kind):
    upload = read_image(encoded(pixels, kind[0], **kind[1]), LIMITS)
    assert upload.alpha is None
    assert np.array_equal(upload.image, pixels)


@settings(max_examples=60, deadline=None)
@given(RGBA)
def test_alpha_and_the_colours_under_it_are_kept(pixels):
    upload = read_image(encoded(pixels), LIMITS)
    assert np.array_equal(upload.image, pixels[..., :3])
    assert np.array_equal(upload.alpha, pixels[..., 3])


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_masks_are_grey_values(pixels):
    mask = read_mask(encoded(pixels), LIMITS, pixels.shape)
    assert mask.dtype == np.float32
    assert np.array_equal(np.rint(mask * 255), pixels)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP"]),
    st.integers(0, 2**16),
    st.integers(1, 255),
    st.integers(0, 2**16),
)
def test_damage_is_refused_or_read_but_never_breaks_anything(kind, at, change, cut):
    content = bytearray(encoded(noise((8, 8)), kind))
    content[at % len(content)] ^= change
    del content[len(content) - cut % 40 :]
    try:
        upload = read_image(bytes(content), LIMITS)
    except AnatomendError as error:
        assert error.allowed
    else:
        assert upload.image.dtype == np.uint8


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(kind, share):
    content = encoded(noise((40, 40)), kind)
    with pytest.raises(InvalidImage) as caught:
        read_image(content[: int(len(content) * share)], LIMITS)
    assert caught.value.code == "damaged_image"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_types_are_named(kind):
    with pytest.raises(InvalidImage) as caught:
        read_image(encoded(noise((4, 4)), kind), LIMITS)
    assert (caught.value.code, caught.value.detail) == ("unsupported_type", f"the file is {kind}")
    assert caught.value.allowed == ("PNG", "JPEG", "WebP")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_image"),
        (b"hello", "not_an_image"),
        (b"\x00" * 1000, "not_an_image"),
        (b"\x00\x00\x00\x1cftypavif", "unsupported_type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_type"),
        (b"%PDF-1.7", "unsupported_type"),
        (b"PK\x03\x04", "not_an_image"),
        (b"\x89PNG\r\n\x1a\n", "damaged_image"),
        (b"\xff\xd8\xff", "damaged_image"),
        (b"RIFF\x00\x00\x00\x00WAVE", "not_an_image"),
    ],
)
def test_not_a_picture(content, code):
    with pytest.raises(InvalidImage) as caught:
        read_image(content, LIMITS)
    assert caught.value.code == code


def test_too_many_bytes():
    with pytest.raises(TooLarge) as caught:
        read_image(b"\x89PNG" + bytes(1_000_000), LIMITS)
    assert (caught.value.code, caught.value.allowed) == ("too_many_bytes", {"max_bytes": 1_000_000})


def _claiming(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(1000, 101), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_they_are_decoded(width, height):
    with pytest.raises(TooLarge) as caught:
        read_image(_claiming(width, height), LIMITS)
    assert (caught.value.code, caught.value.allowed) == ("too_many_pixels", {"max_pixels": 100_000})


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    pixels = noise((3, 5))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    upload = read_image(encoded(pixels, exif=exif), LIMITS)
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    assert np.array_equal(upload.image, upright)
    assert (upload.png is not None) == (orientation == 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_orientation_is_ignored():
    upload = read_image(encoded(noise((3, 5)), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"), LIMITS)
    assert upload.image.shape == (3, 5, 3)


def test_only_the_first_frame_is_read():
    first, second = (Pillow.fromarray(noise((4, 4), seed)) for seed in (1, 2))
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {})):
        content = encoded(first, kind, save_all=True, append_images=[second], **options)
        upload = read_image(content, LIMITS)
        assert np.array_equal(upload.image, np.asarray(first))
        if kind == "PNG":
            still = Pillow.open(io.BytesIO(upload.png))
            assert not still.is_animated
            assert np.array_equal(np.asarray(still), np.asarray(first))


def test_palette():
    picture = Pillow.fromarray(noise((8, 8))).quantize(16)
    upload = read_image(encoded(picture), LIMITS)
    assert np.array_equal(upload.image, np.asarray(picture.convert("RGB")))
    assert upload.alpha is None


def test_transparent_palette_entry():
    picture = Pillow.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    upload = read_image(encoded(picture, transparency=1), LIMITS)
    assert upload.image.tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert upload.alpha.tolist() == [[255, 0]]


def test_transparent_colour():
    upload = read_image(encoded(noise((1, 1)) * 0 + 9, transparency=(9, 9, 9)), LIMITS)
    assert upload.alpha.tolist() == [[0]]
    assert upload.image.tolist() == [[[9, 9, 9]]]


def test_sixteen_bit_grey_is_rounded():
    values = np.array([[0, 128, 129, 32768, 65407, 65535]], np.uint16)
    upload = read_image(encoded(Pillow.fromarray(values)), LIMITS)
    assert upload.image[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]
    assert upload.alpha is None


def test_grey_with_alpha_and_black_and_white():
    grey = noise((3, 3), channels=2)
    upload = read_image(encoded(Pillow.fromarray(grey, "LA")), LIMITS)
    assert np.array_equal(upload.image, np.repeat(grey[..., :1], 3, -1))
    assert np.array_equal(upload.alpha, grey[..., 1])
    upload = read_image(encoded(Pillow.new("1", (2, 2), 1)), LIMITS)
    assert upload.image.min() == 255


def test_cmyk():
    picture = Pillow.new("CMYK", (8, 8), (0, 255, 255, 0))
    upload = read_image(encoded(picture, "JPEG", quality=95), LIMITS)
    assert np.abs(upload.image.astype(int) - [255, 0, 0]).max() < 6


def _profile(space: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def _red_is_green_profile() -> bytes:
    """sRGB with two of its primaries changed over, under another name."""
    profile = _profile("sRGB").replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


def test_an_srgb_profile_changes_nothing():
    pixels = noise((16, 16))
    upload = read_image(encoded(pixels, icc_profile=_profile("sRGB")), LIMITS)
    assert np.array_equal(upload.image, pixels)


@pytest.mark.parametrize("alpha", [[], [7]])
def test_a_profile_is_applied(alpha):
    pixels = np.array([[[255, 0, 0, *alpha]]], np.uint8)
    upload = read_image(encoded(pixels, icc_profile=_red_is_green_profile()), LIMITS)
    assert np.abs(upload.image.astype(int) - [0, 255, 0]).max() <= 3
    assert upload.alpha is None if not alpha else upload.alpha.tolist() == [alpha]


@pytest.mark.parametrize("profile", [b"nonsense", _profile("LAB")])
def test_a_profile_that_does_not_fit_is_ignored(profile):
    pixels = noise((4, 4))
    assert np.array_equal(read_image(encoded(pixels, icc_profile=profile), LIMITS).image, pixels)


def test_the_very_bytes_are_kept_for_a_png_only():
    pixels = noise((4, 4))
    content = encoded(pixels)
    assert read_image(content, LIMITS).png == content
    assert read_image(encoded(pixels, "WEBP", lossless=True), LIMITS).png is None


def test_mask_of_another_size():
    with pytest.raises(InvalidRequest) as caught:
        read_mask(encoded(noise((4, 6))), LIMITS, (6, 4))
    assert caught.value.code == "mask_size_mismatch"
    assert caught.value.allowed == {"width": 4, "height": 6}


def test_what_is_transparent_in_a_mask_is_not_painted():
    pixels = np.full((1, 2, 4), 255, np.uint8)
    pixels[0, 1, 3] = 0
    assert read_mask(encoded(pixels), LIMITS, (1, 2)).tolist() == [[1.0, 0.0]]


def test_a_mask_is_turned_upright_as_its_picture_is():
    exif = Pillow.Exif()
    exif[0x0112] = 6
    assert read_mask(encoded(noise((3, 5)), exif=exif), LIMITS, (5, 3)).shape == (5, 3)


def test_a_photo_with_a_second_picture_inside_is_a_jpeg():
    first, second = (Pillow.fromarray(noise((16, 16), seed)) for seed in (1, 2))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    assert read_image(buffer.getvalue(), LIMITS).image.shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("depth", "colour", "row", "clear"),
    [
        (2, 0, b"\x1b", b"\0\x01"),  # grey 0 1 2 3
        (16, 0, b"\x01\x00\x01\x01\x01\x02\x01\x03", b"\x01\x01"),
        (16, 2, b"\0\0" * 3 + b"\x11\0" * 3 + b"\x22\0" * 3 + b"\x33\0" * 3, b"\x11\0" * 3),
    ],
)
def test_a_transparent_colour_of_any_depth(depth, colour, row, clear):
    png = png_with((b"tRNS", clear), png=png_of(4, 1, depth, colour, zlib.compress(b"\0" + row)))
    assert read_image(png, LIMITS).alpha.tolist() == [[255, 0, 255, 255]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_among_other_notes(order):
    # A short stands in the first two bytes of the four, whichever end comes first.
    value = 6 if order == "<" else 6 << 16
    note = exif([(0x010F, 2, 9, 99), (0x0112, 3, 1, value)], order)
    for content in (png_with((b"eXIf", note)), jpeg_with((0xE1, b"Exif\0\0" + note))):
        assert read_image(content, LIMITS).image.shape == (48, 40, 3)


def test_no_decoder_sees_anything_but_the_picture():
    for content, take_apart in (
        (png_with((b"tEXt", b"a\0" + SECRET), (b"iCCP", b"a\0\0" + zlib.compress(SECRET))), read_png),
        (jpeg_with((0xFE, SECRET), (0xE1, b"Exif\0\0" + SECRET), (0xE2, b"MPF\0" + SECRET)), read_jpeg),
        (riff(canvas(48, 40, 4), bitstream(), (b"XMP ", SECRET)), read_webp),
    ):
        assert SECRET in content or take_apart is read_png
        assert SECRET not in take_apart(content).picture
