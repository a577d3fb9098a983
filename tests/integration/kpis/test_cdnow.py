"""Real purchases through the whole path give the figures others published.

The CDNOW sample (Hardie): 2,357 customers, 6,919 transactions; in the training period to 1997-09-30, with one purchase
per day, 946 repeat buyers, whose mean repeat purchase has the published mean, deviation, minimum, median and maximum.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

import pytest

from batuta.landing.model import Delivery, LandingCounts, Parsed
from batuta.lifetime.store import predict_and_store
from batuta.warehouse.connection import connect
from sensors.connectors import connector
from tests.support.cdnow import TRAINING_END, Purchase, read_purchases
from tests.support.example import open_landing
from tests.support.kpis_dbt import TABLES, KpiWarehouse

PRODUCT = "cdnow"
SECRET = b"secret of the record shop"
RECEIVED = datetime(1998, 7, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def purchases() -> list[Purchase]:
    return read_purchases()


def delivery(topic: str, purchase: Purchase, payload: Mapping[str, object]) -> Delivery:
    body = json.dumps(payload).encode()
    signature = base64.b64encode(hmac.digest(SECRET, body, hashlib.sha256)).decode()
    headers = {
        "content-type": "application/json",
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": "cdnow.myshopify.com",
        "x-shopify-webhook-id": f"{topic}-{purchase.number}",
        "x-shopify-triggered-at": purchase.at,
        "x-shopify-hmac-sha256": signature,
    }
    return Delivery(PRODUCT, "shopify", None, headers, body, RECEIVED)


def deliveries(purchases: list[Purchase]) -> Iterator[Delivery]:
    """Each purchase as a paid order with one line, and its payment."""
    for purchase in purchases:
        line = {
            "id": purchase.number,
            "title": f"{purchase.pieces} CDs",
            "quantity": 1,
            "price": purchase.dollars,
        }
        moments = {"created_at": purchase.at, "processed_at": purchase.at}
        order = {
            "id": purchase.number,
            "name": f"#{purchase.number}",
            "updated_at": purchase.at,
            "cancelled_at": None,
            "financial_status": "paid",
            "currency": "USD",
            "test": False,
            "customer": {"id": purchase.customer},
            "total_price": purchase.dollars,
            "line_items": [line | {"gift_card": False, "discount_allocations": []}],
            "refunds": [],
        }
        payment = {
            "id": 100_000 + purchase.number,
            "order_id": purchase.number,
            "kind": "sale",
            "status": "success",
            "gateway": "card",
            "amount": purchase.dollars,
            "currency": "USD",
            "test": False,
        }
        yield delivery("orders/paid", purchase, order | moments)
        yield delivery("order_transactions/create", purchase, payment | moments)


@pytest.fixture(scope="module")
def shop(
    kpi_warehouse: KpiWarehouse, purchases: list[Purchase], tmp_path_factory: pytest.TempPathFactory
) -> KpiWarehouse:
    """The warehouse with the shop's deliveries landed and modelled."""
    home = tmp_path_factory.mktemp("shop") / "home"
    vendor = connector("shopify")

    def read(delivery: Delivery) -> Parsed:
        vendor.verify(delivery, [SECRET])
        return vendor.parse(delivery)

    with connect(kpi_warehouse.url, "writer") as conn:
        conn.execute(
            "insert into batuta.products values (%s, 'USD', 'America/New_York', 'en', %s)",
            (PRODUCT, RECEIVED),
        )
        conn.commit()
        counts = open_landing(home).land(conn, deliveries(purchases), read, way="file")
    assert counts == LandingCounts(landed=2 * 6919)
    kpi_warehouse.refresh(*TABLES)
    return kpi_warehouse


def test_the_published_figures_come_out_of_the_models(shop: KpiWarehouse, purchases: list[Purchase]) -> None:
    with connect(shop.url, "reader") as conn:
        whole = conn.execute(
            "select count(*), sum(orders), sum(net_sales), count(acquired_on) "
            "from batuta_marts.dim_customers where product = %s",
            (PRODUCT,),
        ).fetchone()
        trained = conn.execute(
            """
            with customers as (
                select
                    customer_key,
                    count(*) - 1 as frequency,
                    avg(sales) filter (where purchase_day > 1) as monetary
                from batuta_marts.fct_customer_purchases
                where product = %s and business_date <= %s
                group by customer_key
            )

            select
                count(*),
                count(*) filter (where frequency > 0),
                avg(monetary), stddev(monetary), min(monetary),
                percentile_cont(0.5) within group (order by monetary), max(monetary)
            from customers
            """,
            (PRODUCT, TRAINING_END),
        ).fetchone()
        life = conn.execute(
            "select value, sample_size from batuta_live.live_kpi_daily "
            "where product = %s and kpi = 'LTV' order by business_date desc limit 1",
            (PRODUCT,),
        ).fetchone()

    spent = sum(round(float(purchase.dollars) * 100) for purchase in purchases)
    assert whole is not None
    assert (whole[0], whole[1], int(whole[2] * 100), whole[3]) == (2357, 6919, spent, 2357)
    assert life is not None
    assert (float(life[0]), life[1]) == (round(spent / 2357) / 100, 2357)
    assert trained is not None
    buyers, repeating, *monetary = trained
    assert (buyers, repeating) == (2357, 946)
    # Published in whole dollars: mean, deviation, minimum, median and maximum.
    assert [round(figure) for figure in monetary] == [35, 30, 3, 27, 300]


def test_the_published_parameters_come_out_of_the_marts(shop: KpiWarehouse) -> None:
    made = predict_and_store(partial(connect, shop.url), PRODUCT, TRAINING_END, RECEIVED)
    buying, spending = made.parameters["bg_nbd"], made.parameters["gamma_gamma"]
    assert [round(buying[name], 3) for name in ("r", "alpha", "a", "b")] == [0.243, 4.414, 0.793, 2.426]
    assert round(buying["log_likelihood"], 1) == -9582.4
    assert [round(spending[name], 2) for name in ("p", "q", "v")] == [6.25, 3.74, 15.44]
    assert (made.customers, made.repeat_customers, made.currency) == (2357, 946, "USD")
    assert made.value is not None
    assert made.low is not None
    assert made.high is not None
    assert made.low < made.value < made.high
