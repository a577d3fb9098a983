"""Brokers that cannot be reached: told once and not with every attempt, and named by doctor."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr
from structlog.testing import capture_logs

from batuta.bus import brokers
from batuta.bus.address import BusAddress
from batuta.bus.brokers import BrokerWatch, Unreachable, topics
from batuta.settings import Settings
from batuta_cli.checkup import bus
from tests.support.bus import Cluster, producing
from tests.support.gateway_server import wait_until

AWAY = "no broker of BATUTA_BUS can be reached; tried again until one can"
BACK = "a broker of BATUTA_BUS can be reached again"
NOBODY = "127.0.0.1:1"
Lines = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "_LOOK_MS", 200)


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(1)


@contextmanager
def door(port: int, to: int) -> Iterator[None]:
    """Let whoever connects to one port through to another."""
    listener = socket.create_server(("127.0.0.1", port))

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", to))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(source, target), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with source, suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def said(lines: Lines) -> list[str]:
    return [line["event"] for line in lines if line["log_level"] != "debug"]


def test_brokers_that_are_away_are_told_of_once_and_so_is_their_return(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with capture_logs() as lines, producing(BusAddress(f"127.0.0.1:{port}", "t")):
        wait_until(lambda: AWAY in said(lines), "nothing is said")
        time.sleep(2)
        assert said(lines) == [AWAY]
        with door(port, int(cluster.brokers.rpartition(":")[2])):
            wait_until(lambda: BACK in said(lines), "the return is not told")
    assert said(lines) == [AWAY, BACK]
    told = next(line for line in lines if line["event"] == AWAY)
    assert (told["log_level"], told["brokers"]) == ("warning", f"127.0.0.1:{port}")
    assert "Connection refused" in told["reason"]
    assert "%3|" not in capfd.readouterr().err


def test_other_trouble_is_told_by_its_name() -> None:
    with capture_logs() as lines:
        BrokerWatch(BusAddress(NOBODY, "t")).failed(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "x"))
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("bus in trouble", "UNKNOWN_TOPIC_OR_PART")
    ]


def test_why_no_broker_answers_is_known(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unreachable, match=r"Connection refused"):
        topics(BusAddress(NOBODY, "t"), 1)
    with pytest.raises(Unreachable, match=r"ssl\.ca\.location"):
        topics(BusAddress.of("kafka+tls://127.0.0.1:1/t?ca=/no/such/file"), 1)
    assert capfd.readouterr().err == ""


def test_doctor_names_brokers_that_do_not_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "ANSWER_S", 1.0)
    found = bus.brokers(with_bus(settings, f"kafka://ana:hidden-word@{NOBODY}/t?sasl=SCRAM-SHA-256"))
    assert found.verdict == "problem"
    assert f"no broker of BATUTA_BUS answers at {NOBODY}" in found.message
    assert "BATUTA_BUS" in (found.mend or "")
    assert "hidden-word" not in str(found)


def test_doctor_sees_brokers_that_answer(settings: Settings, cluster: Cluster) -> None:
    address = cluster.topic()
    asked = with_bus(settings, f"kafka://{address.brokers}/{address.topic}")
    assert "is not there yet" in bus.brokers(asked).message
    cluster.write(address, b"{}", {})
    assert bus.brokers(asked).verdict == "ok"
    assert bus.brokers(settings).verdict == "ok"


def with_bus(settings: Settings, address: str) -> Settings:
    return settings.model_copy(update={"bus": SecretStr(address)})
