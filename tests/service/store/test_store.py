from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.core.errors import NotFound, StorageFull
from service.images.encode import encode_image, encode_mask
from service.store.files import write_atomically
from service.store.images import ImageStore
from tests.service.scripted import decoded, noise


def test_what_is_put_can_be_got(tmp_path: Path):
    store = ImageStore(tmp_path / "deep" / "inside")
    sha256 = store.put(b"bytes")
    assert sha256 == hashlib.sha256(b"bytes").hexdigest()
    assert store.get(sha256) == b"bytes"
    assert ImageStore(tmp_path / "deep" / "inside").get(sha256) == b"bytes"


def test_the_same_bytes_are_kept_once(tmp_path: Path):
    store = ImageStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(store.put, [b"same"] * 50))) == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{store.put(b'same')}.png"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/passwd", "0" * 64, "0" * 64 + "\n", "A" * 64])
def test_unknown_names(tmp_path: Path, name: str):
    with pytest.raises(NotFound) as caught:
        ImageStore(tmp_path).get(name)
    assert caught.value.code == "unknown_image"
    assert caught.value.allowed


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFull):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_survive_and_encode_alike():
    image, alpha = noise((9, 7)), noise((9, 7), 1, channels=1)[..., 0]
    assert np.array_equal(decoded(encode_image(image)), image)
    assert np.array_equal(decoded(encode_image(image, alpha)), np.dstack((image, alpha)))
    assert encode_image(image) == encode_image(image.copy())


def test_a_mask_is_zero_in_its_file_only_where_it_is_zero():
    mask = np.array([[0.0, 1e-6, 0.5, 1.0]], np.float32)
    assert decoded(encode_mask(mask)).tolist() == [[0, 1, 128, 255]]
