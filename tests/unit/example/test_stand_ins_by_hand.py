"""The stand-ins as a person starts them: what goes wrong is a sentence, and nothing is left running."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from examples.vendors.__main__ import main, names

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
