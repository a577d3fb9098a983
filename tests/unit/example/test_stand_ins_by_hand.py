"""The stand-ins as a person starts them: what goes wrong is a sentence, and nothing is left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from examples.ears import __main__ as ears
from examples.vendors.__main__ import main, names
from examples.vendors.notion import DATA_SOURCE, TOKEN, Notion
from examples.vendors.serving import Served

SECRET = b"made-up-app-secret"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("name", [name for name in names() if name != "imap"])
def test_a_port_that_is_taken_is_told_in_a_sentence(
    name: str, taken_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--port", str(taken_port)]) == 1
    said = f"port {taken_port} cannot be used: Address already in use; choose another with --port\n"
    assert capsys.readouterr().err == said


def test_a_secret_file_that_is_missing_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "no-such-secret"
    assert main(["whatsapp", "--to", "http://127.0.0.1:1/", "--secret-file", str(missing)]) == 1
    assert f"the secret file {missing} cannot be read: No such file or directory" in capsys.readouterr().err


def test_deliveries_that_are_refused_end_with_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    with Served(_refuse) as gateway:
        assert main(["whatsapp", "--to", gateway.url, "--secret-file", str(secret)]) == 1
    assert "3 of 3 deliveries were refused" in capsys.readouterr().err


def test_a_gateway_that_does_not_answer_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    assert main(["whatsapp", "--to", "http://127.0.0.1:1/", "--secret-file", str(secret)]) == 1
    assert "http://127.0.0.1:1/ does not answer" in capsys.readouterr().err


def test_notion_knows_only_data_sources_that_are_there() -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "notion-version": "2025-09-03"}
    with Notion() as vendor, httpx.Client(base_url=vendor.url, headers=headers, trust_env=False) as client:
        assert client.post(f"/v1/data_sources/{DATA_SOURCE}/query", json={}).status_code == 200
        mistyped = client.post("/v1/data_sources/no-such-source/query", json={})
    assert (mistyped.status_code, mistyped.json()["code"]) == (404, "object_not_found")


def test_all_stand_ins_write_no_secret_while_a_port_is_taken(
    taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ears, "STAND_INS", {"github": taken_port})
    assert ears.main() == 1
    assert f"port {taken_port} is taken by" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_sigterm_stops_all_stand_ins(tmp_path: Path) -> None:
    ports = {"github": _free_port(), "notion": _free_port()}
    program = (
        f"import examples.ears.__main__ as ears; ears.STAND_INS = {ports}; raise SystemExit(ears.main())"
    )
    environment = {**os.environ, "BATUTA_HOME": str(tmp_path / "home")}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process:
        try:
            for port in ports.values():
                _wait(port, listening=True)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    for port in ports.values():
        _wait(port, listening=False)


async def _refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(port: int, *, listening: bool) -> None:
    until = time.monotonic() + 30
    while _listens(port) is not listening:
        assert time.monotonic() < until, f"port {port}"
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
