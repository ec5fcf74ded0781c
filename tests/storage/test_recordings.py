"""Transfers of a real Lotus, played to our client and held against our server."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import recordings
from aiohttp import web

from lotus_sched_cli.storage.disk import DiskThreads
from lotus_sched_cli.storage.fetch import Download
from lotus_sched_cli.storage.partial import PartialFile

from .farm import TOKEN, Farm

pytestmark = pytest.mark.captures


@pytest.fixture(scope="module")
def tars() -> Path:
    return recordings.need("wire", "tar")


async def test_every_recorded_transfer_is_taken(farm: Farm, tars: Path, tmp_path: Path) -> None:
    """Lotus's unterminated archives too, in the HTTP chunks that it sends."""
    records = json.loads((tars / "index.json").read_text())
    assert records
    for number, record in enumerate(records):
        body = (tars.parent / record["file"]).read_bytes()
        headers = {k: v for k, v in record["response_headers"] if k not in ("Date", "Transfer-Encoding")}

        async def answer(
            request: web.Request, body=body, headers=headers, record=record
        ) -> web.StreamResponse:  # type: ignore[no-untyped-def]
            made = web.StreamResponse(headers=headers)
            if record["chunks"]:
                made.enable_chunked_encoding()
            await made.prepare(request)
            at = 0
            for size in record["chunks"] or [len(body)]:
                if size:
                    await made.write(body[at : at + size])
                    at += size
            await made.write_eof()
            return made

        app = web.Application()
        app.router.add_get("/{any:.*}", answer)
        dest = tmp_path / f"got{number}"
        url = f"http://{await farm.listen(app)}/remote/x/s-t01000-2"
        await DiskThreads("t").long(Download(url, dest, TOKEN, durable=True).run)
        if dest.is_file():
            assert dest.read_bytes() == body
        else:
            with tarfile.open(fileobj=io.BytesIO(body + bytes(1024 + -len(body) % 512))) as archive:
                want = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
            assert {e.name: e.read_bytes() for e in dest.iterdir()} == want


def test_a_recorded_unsealed_file_is_wholly_there(tars: Path, tmp_path: Path) -> None:
    (recorded,) = tars.glob("*unsealed*.bin")
    (tmp_path / "u").write_bytes(recorded.read_bytes())
    with PartialFile.open(tmp_path / "u", 2048) as partial:
        assert partial.allocated
        again = partial.allocated
        partial.allocate(*((again[0][0], again[0][1] - again[0][0])))
    assert (tmp_path / "u").read_bytes() == recorded.read_bytes()
