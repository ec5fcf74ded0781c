"""An operator's own commands: Lotus's seven variables for PC2, the same scheme for the rest."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from proofs.conftest import program_path  # noqa: F401 - a fixture

from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.rpc.streams import BytesReader, NullReader
from lotus_sched_cli.lotus.types import SectorID, SectorRef
from lotus_sched_cli.sealers import external, poseidon
from lotus_sched_cli.sealers.base import Job, SealError, Usage
from lotus_sched_cli.sealers.external import ExternalConfig, ExternalSealer, load
from lotus_sched_cli.sealers.proofs import ProofsSealer

REF = SectorRef(SectorID(1000, 15), 5)
DATA = "baga6ea4seaqmt3tjvhstxe4p4cqzbq6jwutewl3qyeg4si5snppquzgdypzdwiq"


def sealer(**commands: str) -> ExternalSealer:
    by_short = {task.short: task for task in TaskType}
    return ExternalSealer(ExternalConfig({by_short[name]: text for name, text in commands.items()}), {})


def job(task: TaskType, used: list[Usage] | None = None) -> Job:
    return Job("call", task, REF, report=None if used is None else used.append)


def files(root: Path) -> dict[FileType, Path]:
    (root / "cache").mkdir(exist_ok=True)
    kinds = (FileType.UNSEALED, FileType.SEALED, FileType.CACHE)
    return dict(zip(kinds, (root / "unsealed", root / "sealed", root / "cache"), strict=True))


async def test_pc2_gets_lotus_seven_variables_and_its_cids_come_from_the_cache(tmp_path: Path) -> None:
    make = (
        f"env > {tmp_path}/env; cd $EXTSEAL_PC2_CACHE; head -c 64 /dev/zero > p_aux; "
        "head -c 4064 /dev/zero > sc-02-data-tree-d.dat"
    )
    cids = await sealer(PC2=make).precommit2(job(TaskType.PRECOMMIT2), b'{"a":1}', files(tmp_path))
    lines = (tmp_path / "env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if line.startswith("EXTSEAL"))
    names = ("SECTOR_NUM", "SECTOR_MINER", "PROOF_TYPE", "SECTOR_SIZE", "CACHE", "SEALED", "PC1OUT")
    assert set(env) == {f"EXTSEAL_PC2_{name}" for name in names}
    assert {line.split("=")[0] for line in lines} - set(env) <= {"PWD", "SHLVL", "_", "OLDPWD"}
    assert env["EXTSEAL_PC2_PC1OUT"] == "eyJhIjoxfQ==" and env["EXTSEAL_PC2_SECTOR_SIZE"] == "2048"
    assert str(cids.Unsealed).startswith("baga6ea4seaq") and str(cids.Sealed).startswith("bagboea4b5abc")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exit 3", "external command error: exit status 3"),
        ("kill -9 $$", "external command error: signal 9$"),
        ("/opt/nowhere/pc2", "external command error: exit status 127: the command was not found"),
        ("/etc/passwd", "external command error: exit status 126: the command is there and cannot be run"),
        ("true", "reading p_aux: no such file"),
        ("head -c 64 /dev/zero > $EXTSEAL_PC2_CACHE/p_aux", "reading sc-02-data-tree-d.dat"),
        ("printf short > $EXTSEAL_PC2_CACHE/p_aux", "reading p_aux: not two field elements"),
    ],
)
async def test_what_a_command_does_wrong_is_lotus_text(tmp_path: Path, command: str, words: str) -> None:
    with pytest.raises(SealError, match=words):
        await sealer(PC2=command).precommit2(job(TaskType.PRECOMMIT2), b"{}", files(tmp_path))


async def test_other_tasks_answer_with_json_in_a_file(tmp_path: Path) -> None:
    piece = f'{{"Size":128,"PieceCID":{{"/":"{DATA}"}}}}'
    used: list[Usage] = []
    adds = sealer(AP=f"cp $EXTSEAL_AP_PIECE {tmp_path}/got; echo '{piece}' > $EXTSEAL_AP_OUT")
    made = await adds.add_piece(
        job(TaskType.ADD_PIECE, used), [], 127, BytesReader(b"x" * 127), files(tmp_path)
    )
    assert (made.Size, str(made.PieceCID)) == (128, DATA)
    assert (tmp_path / "got").read_bytes() == b"x" * 127
    assert used[-1].max_rss > 0, "the command's own memory, once it has ended"
    proof = base64.b64encode(bytes(range(192))).decode()
    said = f'test -s "$EXTSEAL_C2_C1OUT_FILE" && echo \'{{"Proof":"{proof}"}}\' > $EXTSEAL_C2_OUT'
    assert await sealer(C2=said).commit2(job(TaskType.COMMIT2), b"{}") == bytes(range(192))
    with pytest.raises(SealError, match="wrote no EXTSEAL_C2_OUT"):
        await sealer(C2="true").commit2(job(TaskType.COMMIT2), b"{}")
    with pytest.raises(SealError, match="is no JSON"):
        await sealer(C2="echo proof > $EXTSEAL_C2_OUT").commit2(job(TaskType.COMMIT2), b"{}")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("mkfifo $O", "its EXTSEAL_C2_OUT cannot be read: it is no plain file"),
        ("mkdir $O", "its EXTSEAL_C2_OUT cannot be read: it is no plain file"),
        ("ln -s /dev/zero $O", "its EXTSEAL_C2_OUT cannot be read: it is no plain file"),
        ("ln -s nowhere $O", "wrote no EXTSEAL_C2_OUT"),
        ("truncate -s 10G $O", "cannot be read: it has 10737418240 bytes, and more than"),
        (": > $O", "is no JSON object: Input data was truncated"),
        ("printf '\\377' > $O", "is no JSON object"),
        ("echo NaN > $O", "is no JSON object"),
        ("echo '[]' > $O", "is no JSON object"),
        ("(printf '{\"a\":'; head -c 200000 /dev/zero | tr '\\0' '[') > $O", "nested too deeply"),
        ("echo '{}' > $O", "is not as it must be: .*missing required field `Proof`"),
        ("echo '{\"Proof\":1}' > $O", "is not as it must be: "),
        ('echo \'{"Proof":"%%"}\' > $O', "is not as it must be: "),
        ('echo \'{"Proof":"AQID"}\' > $O', "Proof has 3 bytes, not 192"),
    ],
)
async def test_an_output_that_is_none_is_one_line_and_not_waited_for(command: str, words: str) -> None:
    odd = sealer(C2=command.replace("$O", "$EXTSEAL_C2_OUT"))
    async with asyncio.timeout(30):
        with pytest.raises(SealError, match=words) as why:
            await odd.commit2(job(TaskType.COMMIT2), b"{}")
    assert "\n" not in why.value.text and "the external C2" in why.value.text


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("mkfifo p_aux", "reading p_aux: it is no plain file"),
        ("truncate -s 10G p_aux", "reading p_aux: it has 10737418240 bytes"),
        ("head -c 64 /dev/zero > p_aux; mkfifo $D", "reading sc-02-data-tree-d.dat: it is no plain file"),
        ("head -c 64 /dev/zero > p_aux; ln -s /dev/zero $D", "sc-02-data-tree-d.dat: it is no plain file"),
        ("head -c 64 /dev/zero > p_aux; : > $D", "reading sc-02-data-tree-d.dat: invalid argument"),
    ],
)
async def test_nor_is_a_cache_file_of_pc2(tmp_path: Path, made: str, words: str) -> None:
    command = f"cd $EXTSEAL_PC2_CACHE; {made.replace('$D', 'sc-02-data-tree-d.dat')}"
    async with asyncio.timeout(30):
        with pytest.raises(SealError, match=words):
            await sealer(PC2=command).precommit2(job(TaskType.PRECOMMIT2), b"{}", files(tmp_path))


@pytest.mark.parametrize(
    "piece",
    ['{"Size":2048,"PieceCID":{"/":"baga"}}', '{"Size":2048}', f'{{"Size":127,"PieceCID":{{"/":"{DATA}"}}}}'],
)
async def test_nor_is_a_piece_of_another_size_or_without_an_id(tmp_path: Path, piece: str) -> None:
    adds = sealer(AP=f"echo '{piece}' > $EXTSEAL_AP_OUT", DC=f"echo '{piece}' > $EXTSEAL_DC_OUT")
    data = BytesReader(bytes(2032))
    with pytest.raises(SealError, match=r"external AP is not as it must be: (PieceCID|Size) is"):
        await adds.add_piece(job(TaskType.ADD_PIECE), [], 2032, data, files(tmp_path))
    with pytest.raises(SealError, match=r"external DC is not as it must be: (PieceCID|Size) is"):
        await adds.data_cid(job(TaskType.DATA_CID), 2032, BytesReader(bytes(2032)))


async def test_a_full_disk_under_a_piece_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "piece").symlink_to("/dev/full")
    with pytest.raises(SealError, match="piece: no space left") as why:
        await external._piece(tmp_path / "piece", 2032, BytesReader(bytes(2032)))
    assert why.value.code == 102, "another worker may have room"


async def test_a_command_that_cannot_be_given_to_a_shell_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="null byte"):
        await sealer(FIN="a\0b").finalize(job(TaskType.FINALIZE), files(tmp_path))


async def test_the_worked_example_of_the_docs_does_what_the_library_does(
    tmp_path: Path,
    program_path: Path,  # noqa: F811
) -> None:
    page = (Path(__file__).parents[2] / "docs/external-sealer.md").read_text()
    script = tmp_path / "pc2.sh"
    script.write_text(page.partition("```sh\n")[2].partition("```")[0])
    script.chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin", "FIL_PROOFS_PARENT_CACHE": str(tmp_path / "parents")}
    base = ProofsSealer(program_path, environ)
    config = ExternalConfig.of_pc2(f"{script} {program_path}")
    both = ExternalSealer(config, environ, base=base)
    assert both.tasks() == base.tasks()
    places = files(tmp_path)
    piece = await both.add_piece(job(TaskType.ADD_PIECE), [], 2032, NullReader(2032), places)
    out = await both.precommit1(job(TaskType.PRECOMMIT1), bytes(32), [piece], places)
    cids = await both.precommit2(job(TaskType.PRECOMMIT2), out, places)
    assert cids == await base.precommit2(job(TaskType.PRECOMMIT2), out, places)
    proofs = await both.commit1(job(TaskType.COMMIT1), bytes(32), bytes(32), [piece], cids, places)
    assert b"vanilla_proofs" in proofs


def test_it_offers_the_commanded_tasks_only() -> None:
    assert sealer(PC2="true").tasks() == {TaskType.PRECOMMIT2, TaskType.FETCH}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[commands]\nPC9 = 'x'\n", "commands.PC9"),
        ("[commands]\nPC2 = ''\n", "commands.PC2"),
        ("[commands]\nPC2 = 1\n", "a text in quotes"),
        ('[commands]\nPC2 = "a\\u0000b"\n', "without a zero byte"),
        ("rest = 'all'\n[commands]\nPC2 = 'x'\n", "rest = 'all'"),
        ("[commands]\nPC2 = 'x'\n[limits]\nPC2 = 'soon'\n", "limits.PC2"),
        ("", "no command"),
        ("commands = 1\n", "a section"),
    ],
)
def test_wrong_settings_name_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "external.toml").write_text(text)
    with pytest.raises(UserError, match=words) as why:
        load(tmp_path / "external.toml")
    assert str(tmp_path) in why.value.text and "\n" not in why.value.text


def test_what_is_no_field_element_has_no_comm_r() -> None:
    with pytest.raises(ValueError, match="field elements"):
        poseidon.comm_r(b"\xff" * 32, bytes(32))
