"""Ports: free or taken, and by whom."""

import os
import socket

import pytest

from batuta.ports import PortTaken, holder, is_free, require_free


def test_a_listener_is_named_by_program_and_pid() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert not is_free("127.0.0.1", port)
        assert holder(port).pid == os.getpid()
        with pytest.raises(PortTaken, match=rf"port {port} is taken by .*\(pid {os.getpid()}\)"):
            require_free("127.0.0.1", port, "BATUTA_DOCS_PORT")
    assert is_free("127.0.0.1", port)


def test_the_near_end_of_a_connection_holds_its_port_too() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as outgoing,
    ):
        port = outgoing.getsockname()[1]

        assert not is_free("127.0.0.1", port)
        assert holder(port).pid == os.getpid()
