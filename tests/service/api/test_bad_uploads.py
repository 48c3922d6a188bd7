from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow

from tests.service.api.hostile import (
    JPEG,
    LOSSLESS,
    MIB,
    PIXELS,
    PNG,
    PROGRESSIVE,
    SECRET,
    WEBP,
    animated,
    bitstream,
    canvas,
    changed,
    cut_finely,
    exif,
    jpeg_grey_size,
    jpeg_header_changed,
    jpeg_with,
    many_scans,
    png_of,
    png_with,
    png_without,
    profile,
    riff,
    wrong_checksum,
    zip_bomb,
)
from tests.service.api.resources import WatchHook
from tests.service.problems import assert_problem
from tests.service.scripted import decoded, encoded, noise

OK = (200, None)
DAMAGED = (422, "damaged_image")
NO_IMAGE = (422, "not_an_image")
EMPTY = (422, "empty_image")
OTHER_TYPE = (415, "unsupported_type")
PIXELS_OVER = (413, "too_many_pixels")
BYTES_OVER = (413, "too_many_bytes")


class Case(NamedTuple):
    """One file and what comes of it. Large ones are made only when their turn has come."""

    name: str
    content: bytes | Callable[[], bytes]
    expected: tuple[int, str | None]


PALETTE = encoded(Pillow.fromarray(PIXELS).quantize(16))
GREY = Pillow.fromarray(noise((40, 48), channels=1)[..., 0])

PNGS = [
    Case("the signature cut", PNG[:5], NO_IMAGE),
    Case("the signature alone", PNG[:8], DAMAGED),
    Case("cut in the header", PNG[:20], DAMAGED),
    Case("cut between two chunks", PNG[:33], DAMAGED),
    Case("cut in the pixels", PNG[: len(PNG) // 2], DAMAGED),
    Case("cut in the last checksum", PNG[:-2], DAMAGED),
    Case("no end", PNG[:-12], DAMAGED),
    Case("half of the pixels in a whole file", png_of(40, 40, 8, 2, zlib.compress(bytes(2000))), DAMAGED),
    Case("no pixels", png_without(b"IDAT"), DAMAGED),
    Case("no header", png_without(b"IHDR"), DAMAGED),
    Case("line ends changed on the way", PNG.replace(b"\r\n", b"\n"), NO_IMAGE),
    Case("a wrong checksum of the header", wrong_checksum(b"IHDR"), DAMAGED),
    Case("a wrong checksum of the pixels", wrong_checksum(b"IDAT"), DAMAGED),
    Case("a wrong checksum of a text", wrong_checksum(b"tEXt", png_with((b"tEXt", b"a\0b"))), OK),
    Case("a chunk longer than the file", changed(PNG, 33, b"\x7f\xff\xff\xff"), DAMAGED),
    Case("a chunk of negative length", changed(PNG, 33, b"\xff\xff\xff\xff"), DAMAGED),
    Case("a bit depth of 7", png_of(8, 8, 7, 2), DAMAGED),
    Case("a colour type of 5", png_of(8, 8, 8, 5, b""), DAMAGED),
    Case("a width of 0", png_of(0, 8, 8, 2), DAMAGED),
    Case("a height of 0", png_of(8, 0, 8, 2), DAMAGED),
    Case("an unknown filter", png_of(8, 8, 8, 0, zlib.compress(b"\x09" * 72)), DAMAGED),
    Case("pixels that are no zlib stream", png_of(8, 8, 8, 2, b"nothing of the kind"), DAMAGED),
    Case("a critical chunk that nobody knows", png_with((b"ABCD", b"")), DAMAGED),
    Case("a harmless chunk that nobody knows", png_with((b"abCd", SECRET)), OK),
    Case("two headers", png_with((b"IHDR", PNG[16:29])), OK),
    Case("30,000 pixels square", png_of(30_000, 30_000, 8, 2, b""), PIXELS_OVER),
    Case("2³¹ − 1 pixels square", png_of(2**31 - 1, 2**31 - 1, 8, 2, b""), PIXELS_OVER),
    Case("one pixel line too many", png_of(4000, 4001, 1, 0, b""), PIXELS_OVER),
    Case("16 million pixels wide", png_of(16_000_000, 1, 1, 0, b""), PIXELS_OVER),
    Case("16 million pixels high", png_of(1, 16_000_000, 1, 0, b""), PIXELS_OVER),
    Case("65,535 pixels high", lambda: png_of(244, 65_535, 8, 0), OK),
    Case("an interlaced giant", lambda: png_of(4000, 4000, 8, 0, interlace=1), OK),
    Case("an interlaced giant that is empty", png_of(4000, 4000, 16, 6, b"", interlace=1), DAMAGED),
    Case("pixels that unpack to 100 MiB", lambda: png_of(8, 8, 8, 2, zip_bomb(100 * MIB)), OK),
    Case("a text that unpacks to 100 MiB", lambda: png_with((b"zTXt", b"a\0\0" + zip_bomb(100 * MIB))), OK),
    Case(
        "100 texts of 1 MiB",
        lambda: png_with(*[(b"iTXt", b"a\0\1\0\0\0" + zip_bomb(MIB))] * 100),
        OK,
    ),
    Case(
        "a profile that unpacks to 100 MiB", lambda: png_with((b"iCCP", b"a\0\0" + zip_bomb(100 * MIB))), OK
    ),
    Case("a profile that is nonsense", png_with((b"iCCP", b"a\0\0" + zip_bomb(MIB // 2))), OK),
    Case("a profile of another space", encoded(PIXELS, icc_profile=profile("LAB")), OK),
    Case("a profile that is cut", encoded(PIXELS, icc_profile=profile("sRGB")[:200]), OK),
    Case("5 MB of EXIF", lambda: png_with((b"eXIf", b"II*\0" + bytes(5_000_000))), OK),
    Case("60,000 chunks", lambda: png_with(*[(b"tEXt", b"a\0b")] * 60_000), OK),
    Case("70,000 chunks", lambda: png_with(*[(b"tEXt", b"a\0b")] * 70_000), DAMAGED),
    Case("pixels in 10,000 pieces", lambda: cut_finely(10_000), OK),
    Case("an animation", animated("PNG"), OK),
    Case("an animation without frames", png_with((b"acTL", bytes(8))), OK),
    Case("an animation of 2³² frames", png_with((b"acTL", b"\xff" * 8), (b"fcTL", bytes(26))), OK),
    Case("a palette", PALETTE, OK),
    Case("a palette that is missing", png_of(8, 8, 8, 3), DAMAGED),
    Case("1 bit", encoded(GREY.convert("1")), OK),
    Case("2 bits of grey with a transparent one", png_with((b"tRNS", b"\0\0"), png=png_of(8, 8, 2, 0)), OK),
    Case("16 bits of grey", png_of(8, 8, 16, 0), OK),
    Case("16 bits of grey with a transparent one", png_with((b"tRNS", b"\0\0"), png=png_of(8, 8, 16, 0)), OK),
    Case("16 bits of grey and alpha", png_of(8, 8, 16, 4), OK),
    Case("16 bits of colour", png_of(8, 8, 16, 2), OK),
    Case(
        "16 bits of colour with a transparent one",
        png_with((b"tRNS", b"\xff" * 6), png=png_of(8, 8, 16, 2)),
        OK,
    ),
    Case("16 bits of colour and alpha", png_of(8, 8, 16, 6), OK),
    Case("grey and alpha", encoded(Pillow.merge("LA", (GREY, GREY))), OK),
    Case(
        "a transparency chunk that is too short", png_with((b"tRNS", b"\0"), png=png_of(8, 8, 8, 2)), DAMAGED
    ),
]

JPEGS = [
    Case("the first three bytes", JPEG[:3], DAMAGED),
    Case("cut in the first segment", JPEG[:12], DAMAGED),
    Case("cut in the tables", JPEG[:100], DAMAGED),
    Case("cut before the scan", JPEG[: JPEG.index(b"\xff\xda")], DAMAGED),
    Case("cut in the scan's head", JPEG[: JPEG.index(b"\xff\xda") + 5], DAMAGED),
    Case("cut in the scan", JPEG[: len(JPEG) // 2], DAMAGED),
    Case("cut in a progressive scan", PROGRESSIVE[: len(PROGRESSIVE) // 2], DAMAGED),
    Case("nothing but an end", b"\xff\xd8\xff\xd9", DAMAGED),
    Case("no frame header", JPEG.replace(b"\xff\xc0", b"\xff\xe9"), DAMAGED),
    Case("two frame headers", jpeg_with((0xC0, JPEG[JPEG.index(b"\xff\xc0") + 4 :][:15])), DAMAGED),
    Case("a height of 0", jpeg_header_changed(1, b"\0\0"), DAMAGED),
    Case("a width of 0", jpeg_header_changed(3, b"\0\0"), DAMAGED),
    Case("65,535 pixels square", jpeg_header_changed(1, b"\xff\xff\xff\xff"), PIXELS_OVER),
    Case("12 bits", jpeg_header_changed(0, b"\x0c"), DAMAGED),
    Case("no components", jpeg_header_changed(5, b"\0"), DAMAGED),
    Case("200 components", jpeg_header_changed(5, b"\xc8"), DAMAGED),
    Case("a sampling factor of 15", jpeg_header_changed(7, b"\xff"), DAMAGED),
    Case("a table that does not exist", jpeg_header_changed(8, b"\x09"), DAMAGED),
    Case("a segment of length 0", JPEG[:2] + b"\xff\xe1\0\0" + JPEG[2:], DAMAGED),
    Case("70,000 comments", lambda: jpeg_with(*[(0xFE, b"")] * 70_000), DAMAGED),
    Case("10 MB of comments", lambda: jpeg_with(*[(0xFE, SECRET * 2000)] * 180), OK),
    Case("10 MB of fill bytes", lambda: JPEG[:2] + b"\xff" * 10_000_000 + JPEG[2:], OK),
    Case("10 MB of fill bytes and no more", lambda: JPEG[:2] + b"\xff" * 10_000_000, DAMAGED),
    Case("10 MB of nothing between segments", lambda: JPEG[:20] + bytes(10_000_000) + JPEG[20:], OK),
    Case("2,000 scans over 16 million pixels", lambda: many_scans(4000, 4000, 2000), DAMAGED),
    Case("20 further scans", lambda: many_scans(2000, 2000, 20), OK),
    Case("16 million pixels of which none is there", jpeg_grey_size(encoded(GREY, "JPEG")[:-2], 4000, 4000),
         DAMAGED),
    Case("progressive", PROGRESSIVE, OK),
    Case("grey", encoded(GREY, "JPEG"), OK),
    Case("CMYK", encoded(Pillow.new("CMYK", (8, 8), (1, 2, 3, 4)), "JPEG"), OK),
    Case("CMYK with an RGB profile",
         encoded(Pillow.new("CMYK", (8, 8)), "JPEG", icc_profile=profile("LAB")), OK),
    Case("300 pieces of a profile", jpeg_with(*[(0xE2, b"ICC_PROFILE\0\1\1" + bytes(9))] * 300), OK),
    Case("13 MB of profile", lambda: jpeg_with(
        *[(0xE2, b"ICC_PROFILE\0" + bytes((n, 200)) + bytes(65_000)) for n in range(1, 201)]), OK),
    Case("EXIF that is cut", jpeg_with((0xE1, b"Exif\0\0II*\0\x08\0")), OK),
    Case("EXIF that points beyond its end", jpeg_with((0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")), OK),
    Case("EXIF of 5,000 entries of 64 KB each",
         jpeg_with((0xE1, b"Exif\0\0" + exif((n, 7, 60_000, 8) for n in range(5000)))), OK),
    Case("an orientation of 99", jpeg_with((0xE1, b"Exif\0\0" + exif([(0x112, 3, 1, 99)]))), OK),
    Case("a second picture inside", lambda: _with_second_picture(), OK),
]  # fmt: skip

WEBPS = [
    Case("the head alone", WEBP[:12], DAMAGED),
    Case("cut in the first chunk's head", WEBP[:18], DAMAGED),
    Case("cut in the pixels", WEBP[: len(WEBP) // 2], DAMAGED),
    Case("cut in lossless pixels", LOSSLESS[: len(LOSSLESS) // 2], DAMAGED),
    Case("a head that says 0", riff(bitstream(), size=0), DAMAGED),
    Case("a head that says 4 GiB", riff(bitstream(), size=2**32 - 1), DAMAGED),
    Case("a chunk longer than the file", changed(WEBP, 16, b"\xff\xff\xff\x7f"), DAMAGED),
    Case("half of the pixels in a whole file", riff((b"VP8 ", bitstream()[1][:60])), DAMAGED),
    Case("half of lossless pixels in a whole file", riff((b"VP8L", bitstream(LOSSLESS)[1][:60])), DAMAGED),
    Case("no picture", riff((b"EXIF", b"II*\0")), DAMAGED),
    Case("a canvas without a picture", riff(canvas(48, 40)), DAMAGED),
    Case("a canvas of 2²⁴ square", riff(canvas(2**24, 2**24), bitstream()), PIXELS_OVER),
    Case("a canvas larger than its picture", riff(canvas(480, 400), bitstream()), DAMAGED),
    Case("a canvas smaller than its picture", riff(canvas(4, 4), bitstream()), DAMAGED),
    Case("an animation without frames", riff(canvas(48, 40, flags=2), (b"ANIM", bytes(6))), DAMAGED),
    Case("an animation", animated("WEBP"), OK),
    Case("lossless", LOSSLESS, OK),
    Case("with alpha", encoded(noise((8, 8), channels=4), "WEBP"), OK),
    Case("5 MB of XMP", lambda: riff(canvas(48, 40, flags=4), bitstream(), (b"XMP ", SECRET * 180_000)), OK),
    Case("5 MB of profile", lambda: riff(canvas(48, 40, 32), (b"ICCP", bytes(5_000_000)), bitstream()), OK),
    Case("70,000 chunks", lambda: riff(canvas(48, 40), bitstream(), *[(b"what", b"")] * 70_000), DAMAGED),
    Case("16,384 pixels square", riff((b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(9))), PIXELS_OVER),
]

OTHERS = [
    Case("zero bytes", b"", EMPTY),
    Case("one byte", b"\x89", NO_IMAGE),
    Case("a text", b"this is no picture", NO_IMAGE),
    Case("a million zeros", bytes(1_000_000), NO_IMAGE),
    Case("JSON", b'{"image": "iVBORw0KGgo="}', NO_IMAGE),
    Case("base64", b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf", NO_IMAGE),
    Case("an address", b"http://169.254.169.254/latest/meta-data/", NO_IMAGE),
    Case("HTML", b"<!doctype html><script>alert(1)</script>", NO_IMAGE),
    Case("a shell script", b"#!/bin/sh\nexit 1\n", NO_IMAGE),
    Case("a pickle", b"\x80\x04\x95\x00\x00\x00\x00", NO_IMAGE),
    Case("a program", b"\x7fELF" + bytes(100), NO_IMAGE),
    Case("a zip file", b"PK\x03\x04" + bytes(100), NO_IMAGE),
    Case("a gzip file", b"\x1f\x8b\x08" + bytes(100), NO_IMAGE),
    Case("a sound", b"RIFF\x24\0\0\0WAVEfmt ", NO_IMAGE),
    Case("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n", NO_IMAGE),
    Case("JPEG XL", b"\xff\x0a" + bytes(100), NO_IMAGE),
    Case("an icon", b"\0\0\1\0\1\0" + bytes(16), NO_IMAGE),
    Case("GIF", encoded(GREY, "GIF"), OTHER_TYPE),
    Case("BMP", encoded(PIXELS, "BMP"), OTHER_TYPE),
    Case("TIFF", encoded(PIXELS, "TIFF"), OTHER_TYPE),
    Case("TIFF, the other way round", b"MM\0*" + bytes(100), OTHER_TYPE),
    Case("PDF", b"%PDF-1.7\n", OTHER_TYPE),
    Case("SVG with an outside entity", b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
         OTHER_TYPE),
    Case("Photoshop", b"8BPS\0\1" + bytes(100), OTHER_TYPE),
    Case("AVIF", b"\0\0\0\x1cftypavif" + bytes(100), OTHER_TYPE),
    Case("HEIC", b"\0\0\0\x18ftypheic" + bytes(100), OTHER_TYPE),
    Case("a video", b"\0\0\0\x18ftypmp42" + bytes(100), OTHER_TYPE),
    Case("20 million bytes and one", lambda: PNG + bytes(20_000_001 - len(PNG)), BYTES_OVER),
    Case("20 million bytes", lambda: PNG + bytes(20_000_000 - len(PNG)), OK),
    Case("PNG and a zip file", PNG + b"PK\x03\x04" + SECRET, OK),
    Case("JPEG and a page", JPEG + b"<script>" + SECRET, OK),
    Case("WebP and a program", WEBP + b"\x7fELF" + SECRET, OK),
    Case("a page in a PNG", png_with((b"tEXt", b"Comment\0<script>" + SECRET)), OK),
    Case("a script in a JPEG", jpeg_with((0xFE, b"*/=1;alert(1)/*" + SECRET)), OK),
    Case("a GIF that is also a JPEG", b"GIF89a" + JPEG, OTHER_TYPE),
    Case("a PDF that is also a PNG", b"%PDF-1.7" + PNG, OTHER_TYPE),
    Case("a zip file before a PNG", b"PK\x03\x04" + PNG, NO_IMAGE),
    Case("PNG's signature before a JPEG", PNG[:8] + JPEG, DAMAGED),
    Case("JPEG's mark before a PNG", b"\xff\xd8\xff" + PNG, DAMAGED),
    Case("WebP's head before a PNG", riff((b"VP8 ", PNG)), DAMAGED),
]  # fmt: skip

CASES = [
    Case(f"{kind}: {case.name}", case.content, case.expected)
    for kind, cases in (("PNG", PNGS), ("JPEG", JPEGS), ("WebP", WEBPS), ("other", OTHERS))
    for case in cases
]


def _with_second_picture() -> bytes:
    buffer = BytesIO()
    first, second = (Pillow.fromarray(noise((16, 16), seed)) for seed in (1, 2))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    return buffer.getvalue()


def _made(case: Case) -> bytes:
    return case.content if isinstance(case.content, bytes) else case.content()


def _checked(response, expected: tuple[int, str | None]) -> None:
    status, code = expected
    if code is not None:
        assert_problem(response, status, code)
    else:
        assert response.status_code == status, response.text


def test_there_are_enough_and_no_two_of_one_name():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_files_to_be_repaired(client, subtests):
    with WatchHook() as watch:
        for case in CASES:
            with subtests.test(case.name):
                files = {"image": ("x.png", _made(case))}
                response = watch.timed(client.post, "/repair", files=files, headers={"Accept": "image/png"})
                _checked(response, case.expected)
                assert SECRET not in response.content
    watch.check()


def test_files_to_be_looked_at(client, subtests):
    for case in CASES[::10]:
        with subtests.test(case.name):
            _checked(client.post("/detect", files={"image": ("x.png", _made(case))}), case.expected)


class Form(NamedTuple):
    """One body as it goes over the wire."""

    name: str
    body: bytes
    expected: tuple[int, str | None]
    content_type: str = "multipart/form-data; boundary=x"
    path: str = "/repair"


def _part(head: bytes, content: bytes = PNG) -> bytes:
    return b"--x\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--x--\r\n"


def _named(name: bytes) -> bytes:
    return _form(_part(b'name="image"; filename="' + name + b'"'))


IMAGE = _part(b'name="image"; filename="a.png"')
UNKNOWN = (422, "unknown_parameter")
MISSING = (422, "missing_parameter")
INVALID = (422, "invalid_parameter")
REPEATED = (422, "repeated_parameter")
NO_FORM = (400, "invalid_request")
FOREIGN = (415, "unsupported_media_type")

NAMES = [
    Form("a path upwards", _named(b"../../../../etc/passwd"), OK),
    Form("a whole path", _named(b"/etc/passwd"), OK),
    Form("a path of another system", _named(b"C:\\\\Windows\\\\win.ini"), OK),
    Form("a device", _named(b"NUL"), OK),
    Form("a NUL byte", _named(b"a.png\0.sh"), OK),
    Form("an escaped line end", _named(b"a%0d%0aSet-Cookie: b"), OK),
    Form("a line end", _named(b"a\r\nSet-Cookie: b"), OK),
    Form("unicode", _named("ünï – 手.png".encode()), OK),
    Form("no unicode", _named(b"\xff\xfe.png"), OK),
    Form("right to left", _named("a\u202egnp.exe".encode()), OK),
    Form("10,000 characters", _named(b"a" * 10_000), NO_FORM),
    Form("a program's name", _named(b"$(reboot).png"), OK),
    Form("a query", _named(b"'; DROP TABLE images; --"), OK),
    Form("the extended form", _form(_part(b"name=\"image\"; filename*=UTF-8''%2e%2e%2fx")), INVALID),
]

MASK = b'name="mask"; filename="m"'
WHITE = encoded(np.full((40, 48), 255, np.uint8))

FORMS = [
    Form("no part at all", _form(), MISSING),
    Form("no file", _form(_part(b'name="params"', b"{}")), MISSING),
    Form("another name", _form(_part(b'name="picture"; filename="a"')), MISSING),
    Form("a name in capitals", _form(_part(b'name="IMAGE"; filename="a"')), MISSING),
    Form("no name", _form(_part(b'filename="a"')), NO_FORM),
    Form("a text in place of a file", _form(_part(b'name="image"', b"text")), INVALID),
    Form("a picture in place of a text", _form(IMAGE, _part(b'name="params"; filename="a"')), INVALID),
    Form("an unknown file besides", _form(IMAGE, _part(b'name="other"; filename="a"')), UNKNOWN),
    Form("an empty file", _form(_part(b'name="image"; filename="a"', b"")), EMPTY),
    Form("a file in base64", _form(_part(
        b'name="image"; filename="a"\r\nContent-Transfer-Encoding: base64', b"iVBORw0KGgo=")), NO_IMAGE),
    Form("a JPEG that says it is a PNG", _form(_part(
        b'name="image"; filename="a.png"\r\nContent-Type: image/png', JPEG)), OK),
    Form("a type that is none", _form(_part(b'name="image"; filename="a"\r\nContent-Type: ///')), OK),
    Form("two pictures", _form(IMAGE, IMAGE), REPEATED),
    Form("no end", IMAGE, MISSING),
    Form("cut in the picture", IMAGE[:200], MISSING),
    Form("cut in a head", IMAGE[:30], MISSING),
    Form("another boundary", _form(IMAGE), NO_FORM, "multipart/form-data; boundary=y"),
    Form("no boundary", _form(IMAGE), NO_FORM, "multipart/form-data"),
    Form("2,000 fields", _form(IMAGE, *[_part(b'name="a"', b"b")] * 2000), NO_FORM),
    Form("2,000 files", _form(*[_part(b'name="image"; filename="a"', b"b")] * 2000), NO_FORM),
    Form("a field of 2 MB", _form(IMAGE, _part(b'name="params"', b" " * 2_000_000)), NO_FORM),
    Form("the picture without a form", PNG, FOREIGN, "image/png"),
    Form("JSON", b'{"image": "x"}', FOREIGN, "application/json"),
    Form("another kind of form", b"image=x", FOREIGN, "application/x-www-form-urlencoded"),
    Form("an address", _form(_part(b'name="image"', b"http://127.0.0.1/x.png")), INVALID),
    Form("45 million bytes", _form(_part(b'name="image"; filename="a"', bytes(45_000_000))), BYTES_OVER),
    Form("a good mask", _form(IMAGE, _part(MASK, WHITE)), OK),
    Form("an empty mask", _form(IMAGE, _part(MASK, b"")), EMPTY),
    Form("a mask as a text", _form(IMAGE, _part(b'name="mask"', b"all of it")), INVALID),
    Form("a mask that is no picture", _form(IMAGE, _part(MASK, b"no")), NO_IMAGE),
    Form("a mask that is cut", _form(IMAGE, _part(MASK, WHITE[:60])), DAMAGED),
    Form("a mask of another size", _form(IMAGE, _part(MASK, encoded(noise((48, 40))))),
         (422, "mask_size_mismatch")),
    Form("a mask of another type", _form(IMAGE, _part(MASK, encoded(GREY, "GIF"))), OTHER_TYPE),
    Form("a mask of 16 bits, all black", _form(IMAGE, _part(MASK, png_of(48, 40, 16, 0))),
         (422, "nothing_painted")),
    Form("a mask with alpha", _form(IMAGE, _part(MASK, encoded(noise((40, 48), channels=4)))), OK),
    Form("a mask as JPEG", _form(IMAGE, _part(MASK, encoded(GREY, "JPEG"))), OK),
    Form("a mask of 30,000 pixels square", _form(IMAGE, _part(MASK, png_of(30_000, 30_000, 1, 0, b""))),
         PIXELS_OVER),
    Form("a mask to detect by", _form(IMAGE, _part(MASK, WHITE)), UNKNOWN, path="/detect"),
    Form("nothing to detect in", _form(), MISSING, path="/detect"),
]  # fmt: skip


def test_file_names_mean_nothing(client, subtests):
    for form in NAMES:
        with subtests.test(form.name):
            response = client.post(
                form.path,
                content=form.body,
                headers={"Content-Type": form.content_type, "Accept": "image/png"},
            )
            assert response.status_code == form.expected[0], response.headers
            if form.expected == OK:
                assert response.content == PNG
                assert "set-cookie" not in response.headers


def test_forms(client, subtests):
    for form in FORMS:
        with subtests.test(form.name):
            response = client.post(form.path, content=form.body, headers={"Content-Type": form.content_type})
            status, code = form.expected
            if form.expected == NO_FORM:  # the form's reader says no more than that it cannot read it
                assert (response.status_code, response.json()["code"]) == (status, code)
            else:
                _checked(response, form.expected)


def test_an_unchanged_png_loses_its_metadata_and_nothing_else(client):
    looks = ((b"gAMA", b"\0\0\xb1\x8f"), (b"pHYs", b"\0\0\x0b\x13\0\0\x0b\x13\1"))
    telling = (
        (b"tEXt", b"Author\0" + SECRET),
        (b"tIME", bytes(7)),
        (b"eXIf", exif([(0x112, 3, 1, 1)]) + SECRET),
    )
    sent = png_with(*looks, *telling) + SECRET
    answered = client.post("/repair", files={"image": sent}, headers={"Accept": "image/png"}).content
    assert answered == png_with(*looks)
    assert np.array_equal(decoded(answered), PIXELS)
