"""A static file server for the folder that signed documents are published in. I/O.

Stands for any web server or bucket: documents are signed, so it needs no trust. Every answer is
read from the file of that moment; the ETag is the content's SHA-256.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from tests.localfleet.listener import Listener, serve


def application(folder: Path) -> web.Application:
    """Serve the regular files right inside `folder`, and nothing below or beside it."""

    async def get(request: web.Request) -> web.Response:
        path = folder / request.match_info["name"]
        if path.name.startswith(".") or path.parent != folder or path.is_symlink() or not path.is_file():
            raise web.HTTPNotFound
        data = path.read_bytes()
        etag = f'"{sha256(data).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=data, content_type="application/json", headers=headers)

    app = web.Application()
    app.router.add_get("/{name}", get)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.localfleet.publisher", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8081", metavar="ADDRESS:PORT")
    parser.add_argument("--folder", required=True, type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    try:
        asyncio.run(serve(Listener(application(options.folder), host=host, port=int(port)), "publisher"))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
