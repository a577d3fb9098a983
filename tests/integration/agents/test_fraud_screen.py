"""From WhatsApp's deliveries to the screening: landed, modelled, weighed, with reasons and numbers to be followed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from batuta.contracts.contract import Contracts
from batuta.facts import events_of_fact
from batuta.keys import create_keys
from batuta.landing.land import Landing
from batuta.landing.model import Delivery
from batuta.policy.decision import DefaultPolicy
from batuta.warehouse.connection import connect
from batuta_agents.model import SkillRequest, SkillResult
from batuta_agents.runtime import run_skill
from examples.vendors import whatsapp as meta
from sensors.connectors import connector
from tests.support.kpis_dbt import dbt

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
SWINDLE = "Oi mãe, troquei de número. Preciso pagar um boleto urgente, faz um pix: 529.982.247-25"
MODELS = (
    "stg_whatsapp__messages",
    "stg_events__labels",
    "stg_registry__products",
    "live_messages",
    "live_labels",
)


class Company:
    """A product that gets messages."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self._landing = Landing(Contracts.load(), DefaultPolicy(), create_keys(home), lambda: AT)
        with connect(url, "owner") as conn:
            conn.execute(
                "insert into batuta.products values ('arcsat', 'BRL', 'America/Sao_Paulo', 'pt-BR', now())"
            )

    def hears(self, *messages: dict[str, Any]) -> list[str]:
        """Land messages; their ids as they are stored."""
        body = meta.delivery(*messages)
        self._land("whatsapp", Delivery("arcsat", "whatsapp", None, {}, body, AT))
        with connect(self.url, "reader") as conn:
            rows = conn.execute(
                "select subject from batuta.events where dataset = 'messages' order by batch desc, time desc limit %s",
                (len(messages),),
            )
            return [row[0] for row in rows][::-1]

    def labels(self, message_id: str, at: datetime, *, fraud: bool) -> None:
        event = {
            "specversion": "1.0",
            "id": f"label {message_id} {at.isoformat()}",
            "source": "batuta.labels",
            "type": "com.batuta.fraud.labelled",
            "subject": message_id,
            "time": at.isoformat(),
            "data": {"fraud": fraud},
        }
        self._land("events", Delivery("arcsat", "events", None, {}, orjson.dumps(event), AT))

    def _land(self, name: str, delivery: Delivery) -> None:
        with connect(self.url, "writer") as conn:
            counts = self._landing.land(conn, [delivery], connector(name).parse, way="webhook")
        assert counts.quarantined == 0

    def screen(self, **options: Any) -> SkillResult:
        request = SkillRequest(
            product="arcsat", roles=("messages.read",), as_of=AT.date(), caller="test", locale="pt-BR"
        )
        return run_skill("echo.fraud.screen", options, request, partial(connect, self.url), lambda: AT)


@pytest.fixture
def company(database_url: str, tmp_path: Path) -> Company:
    dbt(database_url, tmp_path / "target", "run", "--select", *MODELS)
    return Company(database_url, tmp_path / "home")


def output(result: SkillResult) -> dict[str, Any]:
    assert result.status == "ok", result.error
    assert result.output is not None
    return dict(result.output)


def signals(suspect: dict[str, Any]) -> Sequence[str]:
    return [reason["signal"] for reason in suspect["reasons"]]


def test_a_swindle_is_pointed_out_with_its_reasons_and_a_customer_is_not(company: Company):
    [_, swindle] = company.hears(
        meta.text_message(1, "Bom dia, meu pedido já saiu?", AT - timedelta(hours=1)),
        meta.text_message(2, SWINDLE, AT, phone="5521912345678", context={"forwarded": True}),
    )
    result = company.screen()
    found = output(result)
    assert (found["messages"], found["flagged"]) == (2, 1)
    [suspect] = found["suspects"]
    assert suspect["message_id"] == swindle
    assert "together.new_number_and_money" in signals(suspect)
    assert suspect["forwarded"] is True
    assert found["precision"] is None
    with connect(company.url, "reader") as conn:
        events = events_of_fact(conn, f"{result.run_id}.{suspect['facts']}.score")
    assert len(events.events) == 1
    assert "5521912345678" not in str(found)


def test_labels_teach_by_sender_medium_and_key_and_only_what_comes_later(company: Company):
    phone = "5531900001111"
    [first, *_] = company.hears(meta.media_message(1, b"golpe", AT - timedelta(days=3), phone=phone))
    company.labels(first, AT - timedelta(days=2), fraud=True)
    company.hears(
        meta.media_message(2, b"golpe", AT - timedelta(hours=2), phone="5541900002222"),
        meta.text_message(3, "oi de novo", AT - timedelta(hours=1), phone=phone),
    )
    found = output(company.screen(threshold_percent=20))
    reasons = [set(signals(suspect)) for suspect in found["suspects"]]
    assert any("media.frauds" in named for named in reasons)
    assert any("sender.frauds" in named for named in reasons)
    assert all(suspect["message_id"] != first for suspect in found["suspects"])


def test_precision_is_measured_on_labels(company: Company):
    swindles = [
        meta.text_message(n, SWINDLE, AT - timedelta(hours=n), phone=f"55219{n:08}") for n in range(1, 9)
    ]
    honest = [meta.text_message(n, "Bom dia, tem azul?", AT - timedelta(hours=n)) for n in range(20, 30)]
    for fraud, messages in ((True, swindles), (False, honest)):
        for message_id in company.hears(*messages):
            company.labels(message_id, AT - timedelta(minutes=30), fraud=fraud)
    found = output(company.screen())
    assert found["labelled"] == 18
    assert float(found["precision"]) == 100.0
    assert float(found["recall"]) == 100.0
    assert float(found["precision_low"]) < 100.0


def test_nobody_wrote(company: Company):
    found = output(company.screen())
    assert (found["messages"], found["suspects"]) == (0, [])


def test_every_verdict_is_kept_when_it_changes_so_that_labels_can_be_held_against_it(company: Company):
    [honest, swindle] = company.hears(
        meta.text_message(1, "Bom dia, meu pedido já saiu?", AT - timedelta(hours=1)),
        meta.text_message(2, SWINDLE, AT, phone="5521912345678"),
    )
    first = company.screen()
    company.screen()
    with connect(company.url, "reader") as conn:
        rows = conn.execute(
            "select item, class, classifier, skill_run from batuta.classifications order by class"
        ).fetchall()
    assert rows == [
        (swindle, "fraud", "echo.fraud.screen", first.run_id),
        (honest, "legitimate", "echo.fraud.screen", first.run_id),
    ]
