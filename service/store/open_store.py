"""The choice of storage for pictures, by one setting."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from service.core.errors import InvalidSettings
from service.store.images import ImageStore

_ALLOWED = "a folder, or s3://bucket/prefix?endpoint=https://host&region=name"
_OPTIONS = frozenset({"endpoint", "region"})


def stores_of(store_url: str, data_dir: Path) -> tuple[ImageStore, ImageStore]:
    """Returns the stores of generated and of uploaded pictures: only the first one is served by hash.

    Args:
        store_url: as for ``open_store``; empty for ``data_dir``.

    Raises:
        InvalidSettings: if the URL cannot be used.
    """
    if not store_url:
        return open_store(data_dir / "images"), open_store(data_dir / "inputs")
    address, mark, options = store_url.partition("?")
    images, inputs = (f"{address.rstrip('/')}/{name}{mark}{options}" for name in ("images", "inputs"))
    return open_store(images), open_store(inputs)


def open_store(where: str | Path) -> ImageStore:
    """Returns the store at ``where``: a folder, or ``s3://bucket/prefix?endpoint=…&region=…``.

    Nothing is read or written yet. The keys of a bucket are read from the environment (``AWS_ACCESS_KEY_ID``
    and its like) and never from the URL, which may be logged.

    Raises:
        InvalidSettings: if the URL cannot be used.
    """
    if isinstance(where, Path) or "://" not in where:
        return ImageStore(Path(where))
    url = urlsplit(where)
    options = parse_qs(url.query, keep_blank_values=True)
    if url.scheme != "s3":
        raise InvalidSettings(f"pictures cannot be kept in {url.scheme}://", allowed=_ALLOWED)
    if "@" in url.netloc:
        raise InvalidSettings(
            "the address of the bucket holds keys",
            allowed="keys as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if not url.netloc or url.fragment or not options.keys() <= _OPTIONS:
        raise InvalidSettings("the address of the bucket cannot be understood", allowed=_ALLOWED)
    if any(len(values) > 1 or not values[0] for values in options.values()):
        raise InvalidSettings("an option of the bucket is empty or given twice", allowed=_ALLOWED)
    endpoint = options.get("endpoint", [None])[0]
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise InvalidSettings("the endpoint of the bucket is no http(s) address", allowed=_ALLOWED)
    try:
        # An optional dependency, needed only for pictures in a bucket.
        from service.store.bucket import open_bucket
    except ModuleNotFoundError as error:
        raise InvalidSettings("buckets need obstore", allowed="pip install 'anatomend[s3]'") from error
    return ImageStore(
        open_bucket(url.netloc, url.path.strip("/"), endpoint, options.get("region", [None])[0])
    )
