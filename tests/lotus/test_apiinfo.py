"""Finding an API: strings, addresses, and the order of places."""

from __future__ import annotations

from pathlib import Path

import pytest

from lotus_sched_cli.lotus import apiinfo
from lotus_sched_cli.lotus.apiinfo import ApiError, ApiInfo


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("/ip4/1.2.3.4/tcp/2345/http", "ws://1.2.3.4:2345/rpc/v0"),
        ("/ip4/1.2.3.4/tcp/2345", "ws://1.2.3.4:2345/rpc/v0"),
        ("/ip6/::1/tcp/2345", "ws://[::1]:2345/rpc/v0"),
        ("/dns/host/tcp/2345/http", "ws://host:2345/rpc/v0"),
        ("/dns4/host/tcp/443/https", "ws://host:443/rpc/v0"),
        ("/dns4/host/tcp/443/wss", "wss://host:443/rpc/v0"),
        ("/dns6/host/tcp/443/tls/http", "wss://host:443/rpc/v0"),
        ("http://h:1234", "http://h:1234/rpc/v0"),
        ("https://h:1234/x", "https://h:1234/x/rpc/v0"),
        ("wss://h/", "wss://h/rpc/v0"),
        ("http://10.0.0.1:3456/rpc/v0", "http://10.0.0.1:3456/rpc/v0"),
    ],
)
def test_addresses_become_urls(address: str, url: str) -> None:
    assert apiinfo.rpc_url(address) == url


@pytest.mark.parametrize(
    "address",
    ["", "abc", "/", "/ip4/1.2.3/tcp/1", "/ip4/::1/tcp/1", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/99999", "/ip4/1.2.3.4/tcp/x",
     "/ip4/1.2.3.4/tcp", "/unix/x/tcp/1", "ftp://h", "http://", "http://h:99999", "localhost:2345"],
)  # fmt: skip
def test_what_is_no_address_is_named_with_an_example(address: str) -> None:
    with pytest.raises(ApiError) as refused:
        apiinfo.rpc_url(address)
    assert repr(address) in str(refused.value) and "give" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_api_info_strings() -> None:
    assert apiinfo.parse("tok:/ip4/1.2.3.4/tcp/2345/http") == ApiInfo("/ip4/1.2.3.4/tcp/2345/http", "tok")
    assert apiinfo.parse("/ip4/1.2.3.4/tcp/2345/http") == ApiInfo("/ip4/1.2.3.4/tcp/2345/http")
    assert apiinfo.parse("http://h:1") == ApiInfo("http://h:1")
    assert apiinfo.parse("tok:https://h:1") == ApiInfo("https://h:1", "tok")
    assert str(apiinfo.parse("tok:/ip4/1.2.3.4/tcp/2345/http")) == "tok:/ip4/1.2.3.4/tcp/2345/http"
    info = apiinfo.parse("tok:/ip4/1.2.3.4/tcp/2345/http")
    assert info.url == "http://1.2.3.4:2345/rpc/v0"
    with pytest.raises(ApiError, match="MINER_API_INFO: 'abc'"):
        apiinfo.parse("tok:abc")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("MINER_API_INFO=tok:/ip4/1.2.3.4/tcp/2345/http", "MINER_API_INFO="),
        ("'tok:/ip4/1.2.3.4/tcp/2345/http'", "'"),
        ('"http://h:1"', '"'),
    ],
)
def test_a_line_pasted_with_its_name_or_quotes_is_no_wrong_token(text: str, first: str) -> None:
    with pytest.raises(ApiError, match=f"^MINER_API_INFO: it begins with {first}; give TOKEN:"):
        apiinfo.parse(text)


def test_addresses_are_made_of_host_and_port() -> None:
    assert apiinfo.multiaddr("127.0.0.1", 2345) == "/ip4/127.0.0.1/tcp/2345/http"
    assert apiinfo.multiaddr("::1", 2345, http=False) == "/ip6/::1/tcp/2345"
    assert apiinfo.multiaddr("miner", 2345) == "/dns/miner/tcp/2345/http"
    assert apiinfo.host_port("/ip6/::1/tcp/2345") == ("::1", 2345)
    assert apiinfo.host_port("https://h") == ("h", 443)


def test_the_flag_comes_before_the_environment_before_the_repo(tmp_path: Path) -> None:
    repo = tmp_path / "miner"
    repo.mkdir()
    (repo / "api").write_text("/ip4/127.0.0.1/tcp/1/http")
    (repo / "token").write_text("tok\n")
    env = {"LOTUS_MINER_PATH": str(repo)}
    warnings: list[str] = []
    assert apiinfo.find(apiinfo.MINER, environ=env) == ApiInfo("/ip4/127.0.0.1/tcp/1/http", "tok")
    env["STORAGE_API_INFO"] = "old:/ip4/127.0.0.1/tcp/2/http"
    assert apiinfo.find(apiinfo.MINER, environ=env, warn=warnings.append).token == "old"
    assert warnings == [
        "Using deprecated env(STORAGE_API_INFO) value, please use env(MINER_API_INFO) instead."
    ]
    env["MINER_API_INFO"] = "new:/ip4/127.0.0.1/tcp/3/http"
    assert apiinfo.find(apiinfo.MINER, environ=env).token == "new"
    assert apiinfo.find(apiinfo.MINER, environ=env, url="http://h:4").url == "http://h:4/rpc/v0"


def test_a_repo_that_is_not_there_or_not_running_says_so_as_lotus_does(tmp_path: Path) -> None:
    env = {"LOTUS_MINER_PATH": str(tmp_path), "LOTUS_WORKER_PATH": str(tmp_path / "none")}
    with pytest.raises(ApiError) as stopped:
        apiinfo.find(apiinfo.MINER, environ=env)
    assert str(stopped.value) == (
        "could not get API info for StorageMiner: could not get api endpoint: "
        f"No file ({tmp_path}/api): API not running (no endpoint)"
    )
    with pytest.raises(ApiError) as missing:
        apiinfo.find(apiinfo.WORKER, environ=env)
    assert str(missing.value) == (
        "could not get API info for Worker: repo directory does not exist. Make sure your configuration is correct"
    )
