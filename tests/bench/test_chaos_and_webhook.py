"""The chaos and webhook benches on a small scale: that they measure what they say, not how fast it is."""

from __future__ import annotations

import pytest

from batuta.settings import Settings, get_settings
from batuta_cli.bench import chaos, webhook
from batuta_cli.bench.webhook_load import Load, requests

pytestmark = pytest.mark.bench

DOCUMENT = {"bench", "value", "unit", "peers", "ratios", "runs", "spread", "budget", "meets"}


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_kills_lose_nothing_that_was_acknowledged_and_double_nothing():
    said: list[str] = []
    found = chaos.run(get_settings(), said.append, scale=0.05, seed=7)
    assert found.keys() >= DOCUMENT
    assert (found["lost"], found["doubled"], found["meets"]) == (0, 0, True), said
    assert found["events"] == chaos.EVENTS // 20
    assert sum(found["kills"].values()) > 0


def test_both_take_the_same_signed_orders(database_server: str):
    pytest.importorskip("fastapi")
    settings = get_settings()
    own = Settings(project=settings.project, home=settings.home, database_url=database_server)
    found = webhook.run(own, lambda _: None, scale=0.01, runs=1)
    assert found.keys() >= DOCUMENT
    assert found["value"] > 0
    assert found["peers"]["fastapi"] > 0
    assert found["vendor_size"]["value"] > 0


def test_every_request_is_another_delivery():
    sent = list(requests(Load(80, "/", "secret", "small", 1, 50, 1)))
    identities = {
        line for one in sent for line in one.split(b"\r\n") if line.startswith(b"x-shopify-webhook-id")
    }
    assert len(identities) == len(sent) == 50
