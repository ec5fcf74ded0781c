"""Headers as Go's ``net/http`` writes them: no ``Server``, no type for an answer without a body.

    app = web.Application(); gohttp.like_go(app)

Go tells no length in the answer to a HEAD either.
"""

from __future__ import annotations

from aiohttp import hdrs, web

__all__ = ["like_go", "refusal"]

#: What aiohttp sets where nobody has said a type.
_UNSAID = "application/octet-stream"


def like_go(app: web.Application) -> None:
    """Every answer of this app leaves with Go's headers."""
    app.on_response_prepare.append(_prepare)


async def _prepare(request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    headers.popall(hdrs.SERVER, None)
    if isinstance(response, web.Response) and not response.body:
        if headers.get(hdrs.CONTENT_TYPE) == _UNSAID:
            del headers[hdrs.CONTENT_TYPE]
        if request.method == hdrs.METH_HEAD:
            headers.popall(hdrs.CONTENT_LENGTH, None)


def refusal(status: int, text: str) -> web.Response:
    """``http.Error``: one line of text that no browser shall take for anything else."""
    return web.Response(status=status, text=text + "\n", headers={"X-Content-Type-Options": "nosniff"})
