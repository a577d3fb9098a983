"""Segments are what their rules say, and add up."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.facts import events_of_fact, render
from tests.support.agents_live import AS_OF, Live, order, refund

SKILL = "vox.crm.playbook"


def _customer(live: Live, key: str | None, days_ago: list[int], first: int, **columns: object) -> None:
    live.insert(
        "live_orders",
        [
            order(first + n, "100", AS_OF - timedelta(days=ago), customer_key=key, **columns)
            for n, ago in enumerate(days_ago)
        ],
    )


def test_customers_are_placed_by_recency_and_frequency(live: Live) -> None:
    cases = {
        "champions": [80, 60, 40, 35, 30],
        "loyal": [90, 70, 60],
        "promising": [60, 10],
        "new": [0],
        "cooling": [31],
        "at_risk": [120, 100, 61],
        "hibernating": [180],
        "lost": [200, 190, 185, 184, 181],
    }
    for number, (segment, days_ago) in enumerate(cases.items()):
        _customer(live, f"h1:{segment}", days_ago, number * 10)
    _customer(live, "h1:gone", [5], 900, is_cancelled=True)

    output = live.run(SKILL).output

    assert output is not None
    assert {play["segment"]: play["sample"] for play in output["segments"]} == {
        **{segment: [f"h1:{segment}"] for segment in cases},
        "cancelled_only": ["h1:gone"],
    }
    assert output["customers"] == 9


def test_the_worth_of_a_segment_counts_returns_and_leaves_out_what_is_no_sale(live: Live) -> None:
    live.insert(
        "live_orders",
        [
            order(1, customer_key="a", gross_sales=Decimal(120), discounts=Decimal(20)),
            order(2, customer_key="b"),
            order(3, customer_key="b", is_test=True),
            order(4, customer_key="b", is_voided=True),
            order(5, customer_key="b", is_deleted=True),
            order(6, customer_key="b", currency="USD"),
            order(7, customer_key="b", day=AS_OF + timedelta(days=1)),
            order(8, "55", customer_key=None),
        ],
    )
    live.insert("live_refunds", [refund(2, "30", "30"), refund(1, "10", "0", is_failed=True)])

    result = live.run(SKILL)

    output = result.output
    assert output is not None
    (play,) = output["segments"]
    assert (play["segment"], play["customers"], play["orders"]) == ("new", 2, 2)
    assert (play["net_sales"], play["average_order_value"]) == ("170.00", "85.00")
    assert (output["unidentified_orders"], output["unidentified_net_sales"]) == (1, "55.00")
    with live.connect("reader") as conn:
        behind = events_of_fact(conn, result.facts["segment.new.net_sales"].id)
        outside = events_of_fact(conn, result.facts["unidentified.net_sales"].id)
    assert [event.id for event in behind.events] == ["order-1", "order-2", "refund-2"]
    assert [event.id for event in outside.events] == ["order-8"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d", None]),
            st.integers(0, 400),
            st.integers(1, 10_000),
            st.booleans(),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_segments_and_the_unidentified_always_add_up(live: Live, sold: list) -> None:
    live.clear()
    live.insert(
        "live_orders",
        [
            order(
                n,
                str(Decimal(cents) / 100),
                AS_OF - timedelta(days=ago),
                customer_key=key,
                is_cancelled=cancelled,
            )
            for n, (key, ago, cents, cancelled, _returned) in enumerate(sold)
        ],
    )
    returned = [(n, cents) for n, (_key, _ago, cents, _cancelled, returned) in enumerate(sold) if returned]
    live.insert("live_refunds", [refund(n, str(Decimal(cents) / 200), "1") for n, cents in returned])

    result = live.run(SKILL, {"sample": 50})

    output = result.output
    assert output is not None, result.error
    total = sum(Decimal(cents) / 100 for _key, _ago, cents, _c, _r in sold) - sum(
        Decimal(cents) / 200 for _n, cents in returned
    )
    parts = [Decimal(play["net_sales"]) for play in output["segments"]]
    assert abs(sum(parts) + Decimal(output["unidentified_net_sales"]) - total) < Decimal("0.1")
    assert Decimal(output["net_sales"]) == sum(parts)
    assert sorted(key for play in output["segments"] for key in play["sample"]) == sorted(
        {key for key, *_rest in sold if key is not None}
    )
    with live.connect("reader") as conn:
        followed = [
            events_of_fact(conn, result.facts[f"{play['facts']}.orders"].id) for play in output["segments"]
        ]
        followed.append(events_of_fact(conn, result.facts["unidentified.orders"].id))
    ids = [event.id for found in followed for event in found.events]
    assert sorted(ids) == sorted(
        [f"order-{n}" for n in range(len(sold))] + [f"refund-{n}" for n, _cents in returned]
    )


def test_a_draft_addresses_the_segment_with_most_at_stake_and_shows_its_sum(live: Live) -> None:
    for number in range(20):
        _customer(live, f"cool-{number}", [40], number * 10)
    _customer(live, "risk", [120, 100, 90], 500)

    result = live.run("vox.campaign.draft")

    output = result.output
    assert output is not None, result.error
    assert (output["segment"], output["audience"], output["valid_until"]) == ("cooling", 20, "2025-11-19")
    # 20 customers x 5 % x R$ 100, less 10 %.
    assert output["expected"]["net_sales"] == "90.00"
    assert [message["channel"] for message in output["messages"]] == ["email", "whatsapp"]
    said = render(output["messages"][1]["body"]["text"], result.facts, "pt-BR").replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert said == (
        "Oi! Aqui é da arcsat. Sentimos sua falta. Até 19/11/2025, seu próximo pedido tem 10,0 % de desconto. "
        "Para não receber mais, responda SAIR."
    )
    assert len(output["guardrails"]) == 4


def test_a_draft_for_nobody_says_so(live: Live) -> None:
    result = live.run("vox.campaign.draft", {"segment": "lost"}, locale="en-GB")

    assert result.output is not None, result.error
    assert (result.output["segment"], result.output["messages"]) == (None, [])
    assert result.output["narrative"][0]["text"].startswith("There are no customers to address")
