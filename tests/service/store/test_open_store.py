from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.core.errors import InvalidSettings, NotFound, StorageDamaged, StorageFull, StorageUnavailable
from service.store.blobs import Blobs
from service.store.files import Folder
from service.store.images import ImageStore
from service.store.open_store import open_store

obstore_store = pytest.importorskip("obstore.store")
from service.store.bucket import Bucket  # noqa: E402 - only where obstore is installed

LONG_AGO_S = 1_000_000_000.0


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Folder(tmp_path / "images") if request.param == "folder" else Bucket(obstore_store.MemoryStore())


@pytest.fixture
def store(blobs: Blobs) -> ImageStore:
    return ImageStore(blobs)


def test_what_is_put_can_be_got_listed_and_removed(store: ImageStore):
    before_s = time.time()
    names = {store.put(content): content for content in (b"one", b"three", b"")}
    assert {name: store.get(name) for name in names} == names
    entries = {entry.sha256: entry for entry in store.entries()}
    assert {name: entry.size_bytes for name, entry in entries.items()} == {
        name: len(content) for name, content in names.items()
    }
    assert all(before_s - 5 <= entry.modified_s <= time.time() + 5 for entry in entries.values())
    first = next(iter(names))
    assert store.exists(first)
    assert store.delete(first)
    assert not store.exists(first)
    assert not store.delete(first)
    with pytest.raises(NotFound):
        store.get(first)


@pytest.mark.parametrize("left", [b"", b"whole by", b"whole bytez"])
def test_what_was_damaged_is_not_given_out_and_mended_by_the_next_put(
    blobs: Blobs, store: ImageStore, left: bytes
):
    name = store.put(b"whole bytes")
    path = f"{name[:2]}/{name}.png"
    blobs.delete(path)
    blobs.write(path, left)
    with pytest.raises(StorageDamaged, match=name) as caught:
        store.get(name)
    assert (caught.value.code, bool(caught.value.allowed)) == ("storage_damaged", True)
    assert store.put(b"whole bytes") == name
    assert store.get(name) == b"whole bytes"


def test_an_empty_store_has_no_entries(store: ImageStore):
    assert list(store.entries()) == []
    store.tidy(0)


@pytest.mark.parametrize("name", ["", "..", "../../x", "0" * 64, "A" * 64, "0" * 64 + "\n"])
def test_names_that_are_none(store: ImageStore, name: str):
    assert not store.exists(name)
    assert not store.delete(name)
    with pytest.raises(NotFound):
        store.get(name)


def test_what_was_put_again_just_now_is_not_removed_as_old(store: ImageStore):
    name = store.put(b"x")
    assert not store.delete(name, unless_younger_than_s=3600)
    assert store.get(name) == b"x"


def test_putting_again_makes_a_file_young(tmp_path: Path):
    store = ImageStore(tmp_path)
    store.put(b"x")
    (path,) = tmp_path.glob("*/*.png")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    store.put(b"x")
    assert next(store.entries()).modified_s > LONG_AGO_S + 1


def test_foreign_and_half_written_files_are_not_listed(tmp_path: Path):
    store = ImageStore(tmp_path)
    name = store.put(b"x")
    (tmp_path / "note.txt").write_text("mine")
    leftover = tmp_path / name[:2] / ".abc.part"
    leftover.write_bytes(b"half")
    assert [entry.sha256 for entry in store.entries()] == [name]
    store.tidy(older_than_s=3600)
    assert leftover.exists()
    store.tidy(older_than_s=0)
    assert not leftover.exists()
    assert (tmp_path / "note.txt").exists()


def test_a_folder_by_path_or_text(tmp_path: Path):
    name = open_store(tmp_path).put(b"x")
    assert open_store(str(tmp_path)).get(name) == b"x"


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/x",
        "s3://",
        "s3:///prefix",
        "s3://key:secret@bucket",
        "s3://bucket?endpoint=",
        "s3://bucket?endpoint=ftp://x",
        "s3://bucket?endpoint=http://a&endpoint=http://b",
        "s3://bucket?secret_access_key=x",
        "s3://bucket#fragment",
    ],
)
def test_addresses_that_cannot_be_used(address: str):
    with pytest.raises(InvalidSettings) as caught:
        open_store(address)
    assert caught.value.allowed
    assert "secret" not in caught.value.detail


class _S3(BaseHTTPRequestHandler):
    """As much of the S3 protocol as the store needs, without looking at signatures."""

    objects: dict[str, bytes]
    answer: tuple[int, bytes] | None

    def _key(self) -> str:
        return self.path.partition("?")[0]

    def _send(self, status: int, body: bytes = b"", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.answer is not None:
            self._send(*self.answer)
            return
        self.objects[self._key()] = content
        self._send(200)

    def do_GET(self) -> None:
        if "list-type=2" in self.path:
            bucket = f"{self._key().rstrip('/')}/"
            rows = "".join(
                f"<Contents><Key>{key.removeprefix(bucket)}</Key><Size>{len(content)}</Size>"
                "<LastModified>1994-11-06T08:49:37.000Z</LastModified></Contents>"
                for key, content in self.objects.items()
            )
            self._send(
                200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
            )
            return
        content = self.objects.get(self._key())
        self._send(404) if content is None else self._send(200, content)

    def do_HEAD(self) -> None:
        content = self.objects.get(self._key())
        self._send(404) if content is None else self._send(200, length=len(content))

    def do_DELETE(self) -> None:
        self.objects.pop(self._key(), None)
        self._send(204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key = body.partition("<Key>")[2].partition("</Key>")[0]
        self.objects.pop(f"{self._key().rstrip('/')}/{key}", None)
        self._send(200, f"<DeleteResult><Deleted><Key>{key}</Key></Deleted></DeleteResult>".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[_S3], ImageStore]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    handler = type("Handler", (_S3,), {"objects": {}, "answer": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler, open_store(f"s3://pictures/some/where?endpoint=http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_bucket_over_http(s3: tuple[type[_S3], ImageStore]):
    server, store = s3
    name = store.put(b"bytes")
    assert server.objects == {f"/pictures/some/where/{name[:2]}/{name}.png": b"bytes"}
    assert store.get(name) == b"bytes"
    assert store.exists(name)
    (entry,) = store.entries()
    assert (entry.sha256, entry.size_bytes) == (name, 5)
    assert entry.modified_s == pytest.approx(784111777)
    assert store.delete(name)
    assert not server.objects
    with pytest.raises(NotFound):
        store.get(name)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, b"QuotaExceeded", StorageFull),
        (400, b"XMinioStorageFull", StorageFull),
        (403, b"AccessDenied", StorageUnavailable),
        (404, b"NoSuchBucket", StorageUnavailable),
    ],
)
def test_a_bucket_that_refuses(s3: tuple[type[_S3], ImageStore], status: int, code: bytes, error: type):
    server, store = s3
    server.answer = status, b"<Error><Code>" + code + b"</Code><Message>no</Message></Error>"
    with pytest.raises(error):
        store.put(b"bytes")


def test_a_bucket_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = open_store("s3://pictures?endpoint=http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable):
        store.get("0" * 64)
