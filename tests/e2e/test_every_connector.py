"""The product of examples/ears, from its manifest: every connector against its stand-in, as its README has it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from batuta.keys import create_keys
from batuta.settings import get_settings
from batuta_cli.main import main
from examples.ears.__main__ import STAND_INS, launch, prepare
from examples.vendors.imap import program
from tests.support.mailboxes import NOT_INSTALLED

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(program() is None, reason=NOT_INSTALLED),
]

PRODUCTS = Path(__file__).parents[2] / "examples" / "ears" / "products"
LANDED = {
    ("shopify", "arcsat-demo.myshopify.com"),
    ("github", "avila-inc/arcsat"),
    ("email", "vendas"),
    ("email", "caixa-graph"),
    ("onedrive", "empresa"),
    ("notion", "avila"),
    ("obsidian", "Cofre"),
}
Batuta = Callable[..., tuple[int, list[Any]]]


@pytest.fixture(scope="module")
def ports() -> Iterator[Mapping[str, int]]:
    """Where the stand-ins listen, once all of them do."""
    chosen = {name: free_port() for name in STAND_INS}
    running = launch(chosen)
    try:
        for port in chosen.values():
            wait_for_port(port)
        yield chosen
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < until, "a stand-in does not answer"
            time.sleep(0.2)
        else:
            return


@pytest.fixture
def batuta(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Batuta:
    """The command, in an installation of its own: its exit code, and what its lines of JSON say."""
    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    home = get_settings().home
    create_keys(home)
    prepare(home)

    def call(*arguments: str) -> tuple[int, list[Any]]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        out, err = capsys.readouterr()
        sys.stderr.write(err)
        return int(str(ended.value.code or 0)), [json.loads(line) for line in out.splitlines() if line]

    return call


def test_every_connector_fetches_from_its_stand_in_and_all_of_it_is_accounted_for(
    batuta: Batuta, ports: Mapping[str, int], tmp_path: Path
) -> None:
    manifests = tmp_path / "ears"
    shutil.copytree(PRODUCTS, manifests / "products")
    text = (manifests / "products" / "ouvidos.yaml").read_text()
    for name, port in STAND_INS.items():
        text = re.sub(rf"\b{port}\b", str(ports[name]), text)
    vault = get_settings().home / "ears" / "Cofre"
    (manifests / "products" / "ouvidos.yaml").write_text(text.replace(".batuta/ears/Cofre", str(vault)))
    assert batuta("apply", str(manifests))[0] == 0

    connectors = sorted({connector for connector, _ in LANDED} | {"whatsapp"})
    for connector in connectors:
        code, polled = batuta("connectors", "poll", "ouvidos", connector)
        assert (code, [one["problem"] for one in polled]) == (0, [None] * len(polled)), connector
        assert [one["quarantined"] for one in polled] == [0] * len(polled), connector

    code, [views] = batuta("connectors")
    assert code == 0
    assert {(view["connector"], view["account"]) for view in views if view["counted"]} == LANDED
    assert {view["missing"] for view in views} == {0}
    assert {view["standing"] for view in views} == {"well", "only sends"}
    for connector in connectors:
        code, again = batuta("connectors", "poll", "ouvidos", connector)
        assert (code, {one["landed"] for one in again}) == (0, {0}), connector
