"""``lotus-miner auth``: tokens for the API (Lotus: ``cli/auth.go``)."""

from __future__ import annotations

import base64
from typing import Annotated

import typer

from lotus_sched_cli.cli.connect import Api, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.views.text import Lines

app = typer.Typer(cls=GoGroup, help="tokens for the API", add_completion=False)

PERMISSIONS = ("read", "write", "sign", "admin")
PERM_HELP = "what the token allows, each with all before it: read, write, sign, admin"


@app.command("create-token", cls=GoCommand, help="make a token")
def create_token(ctx: typer.Context, perm: Annotated[str, flag("--perm", help=PERM_HELP)] = "") -> None:
    wanted = permissions(perm)
    show(ctx, Lines.of(new_token(miner_api(ctx, common=True), wanted)))


@app.command("api-info", cls=GoCommand, help="make a token and print it with the address, for another host")
def api_info(ctx: typer.Context, perm: Annotated[str, flag("--perm", help=PERM_HELP)] = "") -> None:
    wanted = permissions(perm)
    api = miner_api(ctx, common=True)
    show(ctx, Lines.of(f"MINER_API_INFO={new_token(api, wanted)}:{api.address}"))


def permissions(perm: str) -> list[str]:
    """Permissions are not nested in Lotus, so a token names all up to the one asked for."""
    if not perm:
        raise CliError("--perm flag not set", f"use with one of: {', '.join(PERMISSIONS)}")
    if perm not in PERMISSIONS:
        raise CliError(f"--perm flag has to be one of: [{' '.join(PERMISSIONS)}]", f'got "{perm}"')
    return list(PERMISSIONS[: PERMISSIONS.index(perm) + 1])


def new_token(api: Api, wanted: list[str]) -> str:
    return base64.b64decode(api.call("AuthNew", wanted)).decode()
