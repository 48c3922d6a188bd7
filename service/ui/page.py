"""Serves the web page: ``/`` is ``index.html``, ``/ui/...`` its files. These paths need no key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_HERE = Path(__file__).resolve().parent

# Pictures are fetched with the key in a header and shown as blobs; previews come as data: URLs.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Our files keep their names between versions, so a browser must revalidate; the ETag makes that cheap.
_ASK_AGAIN = "no-cache"
_FOREVER = "public, max-age=31536000, immutable"


def install(app: FastAPI) -> None:
    """Adds routes for the page at ``/`` and its files under ``/ui``."""

    async def index() -> Response:
        return FileResponse(_HERE / "index.html", headers=_HEADERS | {"Cache-Control": _ASK_AGAIN})

    app.add_api_route("/", index, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/ui", _Files(directory=_HERE), name="ui")


class _Files(StaticFiles):
    """The files of the page; the Python files beside them are not served."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.endswith((".py", ".pyc")):
            path = ""  # a folder: not found
        return await super().get_response(path, scope)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        vendored = "vendor" in Path(args[0]).parts  # their folders contain their versions
        response.headers["Cache-Control"] = _FOREVER if vendored else _ASK_AGAIN
        return response
