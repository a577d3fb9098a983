"""Fetching from Shopify, against a stand-in that does what Shopify documents, faults included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from batuta.events.event import parse_time
from examples.vendors import shopify_data as data
from examples.vendors.serving import Fault
from examples.vendors.shopify import SECRET, TOKEN, Shopify
from sensors.connectors import shopify
from sensors.connectors.pulling import (
    Account,
    Gone,
    OutOfTime,
    RateLimited,
    SourceFailed,
    Unauthorized,
    Window,
)
from sensors.connectors.shopify import pull
from tests.support.pulling import NOW, TrialTime, pull_all, tools
from tests.support.vendor_deliveries import delivery

DAY = timedelta(days=1)
WINDOW = Window(NOW - 30 * DAY, NOW + DAY)


@pytest.fixture
def shop() -> Iterator[Shopify]:
    with Shopify() as running:
        running.now = lambda: NOW
        yield running


def account(shop: Shopify, *, public_url: str | None = None, **settings: Any) -> Account:
    return Account(
        "arcsat",
        "shopify",
        shop.shop,
        shopify.Settings(api_url=shop.url, **settings),
        credentials={"accessToken": TOKEN.encode()},
        public_url=public_url,
    )


def place(shop: Shopify, number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    order = data.order(number, at, **changes)
    return shop.put("orders", order, [data.sale(order, at)])


def refund(shop: Shopify, order: dict[str, Any], at: datetime, *, number: int = 1) -> dict[str, Any]:
    given = data.refund(order, at, number=number)
    changed = order | {
        "refunds": [*order["refunds"], given],
        "updated_at": data.stamp(at),
        "financial_status": "partially_refunded",
    }
    return shop.put("orders", changed, given["transactions"])


def test_a_pulled_order_reads_as_its_webhook_does_field_by_field(shop: Shopify) -> None:
    """Every field of the contracts, out of the API, is what the webhook of the same state has."""
    order = place(shop, 7, NOW - timedelta(hours=2), lines=3, closed_at=data.stamp(NOW - timedelta(hours=1)))
    order = refund(shop, order, NOW - timedelta(minutes=30))
    shop.put("products", data.product(1, NOW - timedelta(hours=3)))
    shop.put("customers", data.customer(7, NOW - timedelta(hours=4)))
    pulled = pull_all(pull, account(shop), tools()).candidates(shopify)
    by_dataset: dict[str, list[Any]] = {}
    for candidate in pulled:
        by_dataset.setdefault(candidate.dataset, []).append(candidate.event.data)

    assert_same(by_dataset["orders"][0], order, but={"contact_email"})
    assert_same(by_dataset["refunds"][0], order["refunds"][0])
    assert [t["id"] for t in by_dataset["order_transactions"]] == [
        item["id"] for item in shop.transactions[order["id"]]
    ]
    for pulled_transaction, sent in zip(
        by_dataset["order_transactions"], shop.transactions[order["id"]], strict=True
    ):
        assert_same(pulled_transaction, sent)
    assert_same(by_dataset["products"][0], next(iter(shop.data["products"].values())))
    assert_same(by_dataset["customers"][0], next(iter(shop.data["customers"].values())))


def assert_same(
    pulled: Any, sent: Any, *, path: str = "", but: frozenset[str] | set[str] = frozenset()
) -> None:
    """What was pulled, of what a webhook sent; times are equal as moments. Everything pulled must be in it."""
    if isinstance(pulled, dict):
        assert isinstance(sent, dict), path
        for name, value in pulled.items():
            if name not in but:
                assert name in sent, f"{path}.{name} is made up"
                assert_same(value, sent[name], path=f"{path}.{name}", but=but)
    elif isinstance(pulled, list):
        assert isinstance(sent, list), path
        assert len(pulled) == len(sent), path
        for index, (left, right) in enumerate(zip(pulled, sent, strict=True)):
            assert_same(left, right, path=f"{path}[{index}]", but=but)
    elif isinstance(pulled, str) and path.endswith("_at"):
        assert parse_time(pulled) == parse_time(sent), path
    else:
        assert pulled == sent, path


def test_a_webhook_and_a_poll_of_one_state_have_one_version(shop: Shopify) -> None:
    order = refund(shop, place(shop, 1, NOW - DAY / 2), NOW - DAY / 4)
    customer = shop.put("customers", data.customer(1, NOW - DAY / 3))
    sent = {
        ("orders/updated", order["id"]): order,
        ("refunds/create", order["refunds"][0]["id"]): order["refunds"][0],
        ("order_transactions/create", 1): shop.transactions[order["id"]][0],
        ("order_transactions/create", 2): shop.transactions[order["id"]][1],
        ("customers/update", 1): customer,
    }
    by_webhook = set[tuple[str | None, str | None]]()
    for (topic, _), payload in sent.items():
        body = orjson.dumps(payload)
        parsed = shopify.parse(delivery("shopify", shop.headers(topic, body), body))
        by_webhook |= {(found.entity, found.version) for found in parsed.candidates}
    by_poll = {
        (found.entity, found.version) for found in pull_all(pull, account(shop), tools()).candidates(shopify)
    }
    assert by_poll == by_webhook


def test_both_spellings_of_the_headers_are_one_delivery(shop: Shopify) -> None:
    body = orjson.dumps(data.order(1, NOW))
    for prefix in ("x-shopify-", "shopify-"):
        sent = delivery("shopify", shop.headers("orders/create", body, webhook_id="w-1", prefix=prefix), body)
        shopify.verify(sent, [SECRET])
        (candidate,) = shopify.parse(sent).candidates
        assert (candidate.event.id, candidate.event.source) == ("w-1", f"https://{shop.shop}")
        assert candidate.event.extensions["shopifyeventid"]
        assert all(
            any(sent.headers.get(name) for name in either.split("|")) for either in shopify.REQUIRED_HEADERS
        )


def test_a_second_poll_brings_only_the_overlap_and_what_is_new(shop: Shopify) -> None:
    for number in range(60):
        place(shop, number, NOW - timedelta(hours=10, minutes=-number))
    first = pull_all(pull, account(shop), tools())
    assert len({found.entity for found in first.candidates(shopify) if found.dataset == "orders"}) == 60
    place(shop, 60, NOW)
    second = pull_all(pull, account(shop, overlap_seconds=60), tools(), first.position).candidates(shopify)
    orders = [found for found in second if found.dataset == "orders"]
    assert [found.event.data["order_number"] for found in orders] == [1058, 1059, 1060]
    assert [found.event.type for found in orders] == [
        "com.shopify.orders.updated",
        "com.shopify.orders.updated",
        "com.shopify.orders.created",
    ]


def test_a_poll_that_breaks_off_goes_on_where_it_stood(shop: Shopify) -> None:
    for number in range(60):
        place(shop, number, NOW - timedelta(hours=1))
    seen: set[str | None] = set()
    position = None
    for _ in range(20):
        some = pull_all(pull, account(shop, page_size=10), tools(), position, pages_at_most=1)
        seen |= {found.entity for found in some.candidates(shopify) if found.dataset == "orders"}
        position = some.position
    assert len(seen) == 60


def test_repeated_and_reordered_records_lose_none(shop: Shopify) -> None:
    shop.restless = True
    for number in range(25):
        place(shop, number, NOW - timedelta(hours=5, minutes=-number))
    pulled = pull_all(pull, account(shop, page_size=10), tools())
    assert len({found.entity for found in pulled.candidates(shopify) if found.dataset == "orders"}) == 25
    assert parse_time(pulled.position["orders"]["since"]) == max(
        parse_time(order["updated_at"]) for order in shop.data["orders"].values()
    )


def test_members_beyond_the_first_page_are_fetched_before_the_order_is_handed_on(shop: Shopify) -> None:
    order = place(shop, 1, NOW - DAY / 2, lines=130)
    (found, *_) = pull_all(pull, account(shop), tools()).candidates(shopify)
    assert {line["id"] for line in found.event.data["line_items"]} == {
        line["id"] for line in order["line_items"]
    }


def test_a_throttled_query_is_asked_again_after_the_budget_has_grown(shop: Shopify) -> None:
    place(shop, 1, NOW - DAY / 2)
    shop.throttled = 3
    time = TrialTime()
    assert pull_all(pull, account(shop), tools(time=time)).deliveries
    assert len([wait for wait in time.waits if wait > 0]) >= 3
    shop.throttled = 10_000
    with pytest.raises(RateLimited):
        pull_all(pull, account(shop), tools(budget_s=4.5), None)


def test_a_query_that_is_too_dear_is_asked_for_less(shop: Shopify) -> None:
    for number in range(100):
        place(shop, number, NOW - timedelta(hours=1))
    pulled = pull_all(pull, account(shop, page_size=250), tools())
    assert len({found.entity for found in pulled.candidates(shopify) if found.dataset == "orders"}) == 100
    assert pulled.position["size"] == 62


@pytest.mark.parametrize(
    "fault", [Fault(429, {"retry-after": "3"}), Fault(502), Fault(503), Fault(torn=True)], ids=str
)
def test_passing_faults_are_waited_out(shop: Shopify, fault: Fault) -> None:
    place(shop, 1, NOW - DAY / 2)
    shop.fail_next(fault, fault)
    assert len(pull_all(pull, account(shop), tools()).deliveries) == 2


def test_a_removed_app_ends_the_polling_and_an_unpaid_shop_pauses_it(shop: Shopify) -> None:
    for status, error in (
        (401, Gone),
        (404, Gone),
        (402, RateLimited),
        (423, RateLimited),
        (403, Unauthorized),
    ):
        shop.refuse = status
        with pytest.raises(error):
            pull_all(pull, account(shop), tools())


def test_a_missing_scope_is_said_by_its_field(shop: Shopify) -> None:
    shop.scopes -= {"read_customers"}
    with pytest.raises(Unauthorized, match="customers"):
        pull_all(pull, account(shop), tools())
    pull_all(pull, account(shop, resources=("orders", "products")), tools())


def test_a_dev_dashboard_app_is_given_a_token_for_a_day(shop: Shopify) -> None:
    place(shop, 1, NOW - DAY / 2)
    own = Account(
        "arcsat",
        "shopify",
        None,
        shopify.Settings(api_url=shop.url, shop="arcsat-demo"),
        credentials={"clientId": b"an-app", "clientSecret": SECRET + b"\n"},
    )
    assert pull_all(pull, own, tools()).deliveries
    wrong = Account(
        "arcsat", "shopify", shop.shop, own.settings, {"clientId": b"an-app", "clientSecret": b"another"}
    )
    with pytest.raises(Unauthorized, match="gives the app no token"):
        pull_all(pull, wrong, tools())
    shop.installed = False
    with pytest.raises(Gone, match="not installed"):
        pull_all(pull, own, tools())


def test_another_version_of_the_api_raises_the_alarm(shop: Shopify) -> None:
    place(shop, 1, NOW - DAY / 2)
    shop.versions = ("2026-04", "2026-07")
    pulled = pull_all(pull, account(shop), tools())
    assert "2026-04" in (pulled.pages[0].note or "")
    states = {state.name: state for state in pull.audit(account(shop), tools())}
    assert states["api version"].state == "failing"
    assert "2026-01" in (states["api version"].detail or "")


def test_a_backfill_hands_on_what_shopify_counted_and_every_order_once(shop: Shopify) -> None:
    for number in range(250):
        order = place(shop, number, NOW - timedelta(days=20, minutes=-number), lines=1 + number % 4)
        if number % 50 == 0:
            refund(shop, order, NOW - timedelta(days=2))
    shop.put("products", data.product(1, NOW - 20 * DAY))
    place(shop, 999, NOW - 40 * DAY)
    pulled = pull_all(pull, account(shop), tools(), window=WINDOW)
    candidates = pulled.candidates(shopify)
    orders = {found.event.data["id"]: found.event.data for found in candidates if found.dataset == "orders"}
    assert len(orders) == 250
    for identity, order in orders.items():
        assert_same(order, shop.data["orders"][identity], but={"contact_email"})
    assert len([found for found in candidates if found.dataset == "refunds"]) == 5
    assert pulled.pages[-1].total == len(pulled.deliveries) == len(candidates)


def test_a_broken_off_backfill_resumes_its_operation(shop: Shopify) -> None:
    for number in range(450):
        place(shop, number, NOW - 10 * DAY)
    position, seen = None, list[str]()
    for _ in range(12):
        some = pull_all(pull, account(shop), tools(), position, window=WINDOW, pages_at_most=1)
        seen += [found.event.id for found in some.candidates(shopify)]
        position = some.position
    assert len(seen) == len(set(seen)) == 900
    assert len(shop.operations) == 3


def test_a_cut_off_result_advances_nothing(shop: Shopify) -> None:
    place(shop, 1, NOW - DAY)
    started = pull_all(pull, account(shop), tools(), window=WINDOW, pages_at_most=1)
    shop.bulk_fault = "truncated"
    with pytest.raises(SourceFailed, match="nothing of it is used"):
        pull_all(pull, account(shop), tools(), started.position, window=WINDOW)
    shop.bulk_fault = None
    assert pull_all(pull, account(shop), tools(), started.position, window=WINDOW).deliveries
    assert len(shop.operations) == 3, "the operation that was there is used again"


def test_half_a_result_is_no_result_and_the_next_try_starts_anew(shop: Shopify) -> None:
    place(shop, 1, NOW - DAY)
    shop.bulk_fault = "failed"
    pages: list[Any] = []
    with pytest.raises(SourceFailed, match="half a result is not used"):
        pages.extend(pull.backfill(account(shop), WINDOW, None, tools()))
    assert not any(page.deliveries for page in pages)
    shop.bulk_fault = None
    resumed = pull_all(pull, account(shop), tools(), pages[-1].position, window=WINDOW)
    assert len(resumed.deliveries) == 2


def test_a_slow_operation_is_waited_for_and_a_second_one_is_not_started(shop: Shopify) -> None:
    place(shop, 1, NOW - DAY)
    shop.polls_until_done = 12
    started = pull_all(pull, account(shop), tools(), window=WINDOW, pages_at_most=1)
    with pytest.raises(RateLimited):
        pull_all(pull, account(shop), tools(budget_s=59), started.position, window=WINDOW)
    with pytest.raises(RateLimited, match="another bulk operation"):
        pull_all(pull, account(shop), tools(budget_s=60), None, window=WINDOW)
    assert pull_all(pull, account(shop), tools(), started.position, window=WINDOW).deliveries


def test_a_window_beyond_sixty_days_says_what_is_not_shown(shop: Shopify) -> None:
    place(shop, 1, NOW - 90 * DAY)
    window = Window(NOW - 100 * DAY, NOW)
    shop.scopes -= {"read_all_orders"}
    blind = pull_all(pull, account(shop), tools(), window=window)
    assert not blind.deliveries
    assert "60 days" in (blind.pages[0].note or "")
    shop.scopes |= {"read_all_orders"}
    seeing = pull_all(pull, account(shop), tools(), window=window)
    assert seeing.pages[0].note is None
    assert len(seeing.deliveries) == 2


def test_bulk_refuses_what_shopify_refuses(shop: Shopify) -> None:
    """The stand-in holds the rule our queries are made for: no connection within a list."""
    refused = shop.run_bulk(
        "{ orders { edges { node { id refunds { refundLineItems { edges { node { id } } } } } } } }"
    )
    assert "within a list field" in refused["userErrors"][0]["message"]


def test_missing_webhooks_are_made_and_removed_ones_made_again(shop: Shopify) -> None:
    ours = account(shop, public_url="https://batuta.example.com/")
    first = {state.name: state.state for state in pull.audit(ours, tools())}
    assert first.pop("api version") == first.pop("access scopes") == "active"
    assert set(first.values()) == {"created"}
    assert len(first) == 17
    address = f"https://batuta.example.com/webhooks/arcsat/shopify/{shop.shop}"
    assert {item["uri"] for item in shop.subscriptions} == {address}
    assert {state.state for state in pull.audit(ours, tools())} == {"active"}
    del shop.subscriptions[3]
    again = {state.state for state in pull.audit(ours, tools())}
    assert again == {"active", "created"}


def test_without_a_public_address_missing_webhooks_are_named(shop: Shopify) -> None:
    states = {state.name: state for state in pull.audit(account(shop), tools())}
    assert states["orders/create"].state == "missing"
    assert "BATUTA_PUBLIC_URL" in (states["orders/create"].detail or "")
    unreachable = pull.audit(account(shop, public_url="http://batuta.example.com"), tools())
    assert {s.state for s in unreachable if s.name == "orders/create"} == {"failing"}
    assert len(pull.audit(account(shop, subscribe=False), tools())) == 2


def test_missing_scopes_fail_the_audit_and_the_sixty_days_are_noted(shop: Shopify) -> None:
    shop.scopes = {"write_orders", "read_products"}
    states = {state.name: state for state in pull.audit(account(shop), tools())}
    assert states["access scopes"].state == "failing"
    assert "read_customers" in (states["access scopes"].detail or "")
    shop.scopes |= {"read_customers"}
    noted = {state.name: state for state in pull.audit(account(shop), tools())}["access scopes"]
    assert noted.state == "active"
    assert "60 days" in (noted.detail or "")
    assert "counted as two" in (noted.detail or "")


def test_merges_of_customers_are_subscribed_to_where_the_app_may_see_them(shop: Shopify) -> None:
    def audited(*resources: Any) -> set[str]:
        ours = account(shop, resources=resources, public_url="https://batuta.example.com")
        return {state.name for state in pull.audit(ours, tools())}

    assert "customers/merge" in audited("orders", "customers")
    assert "customers/merge" not in audited("orders", "products")
    shop.scopes -= {"read_customer_merge"}
    assert "customers/merge" not in audited("orders", "customers")
    shop.scopes |= {"write_customer_merge"}
    assert "customers/merge" in audited("orders", "customers")


def test_a_poll_stops_at_its_deadline(shop: Shopify) -> None:
    for number in range(30):
        place(shop, number, NOW - timedelta(hours=1))
    time = TrialTime()
    bounded = tools(time=time, budget_s=100)
    pages = pull.poll(account(shop, page_size=10), None, bounded)
    assert next(pages).deliveries
    time.advance(101)
    with pytest.raises((StopIteration, OutOfTime)):
        next(pages)


def test_nothing_personal_is_said_in_an_error(shop: Shopify) -> None:
    place(shop, 1, NOW - DAY / 2)
    shop.fail_next(*[Fault(500, body=b"cliente1@example.com")] * 9)
    with pytest.raises(SourceFailed) as caught:
        pull_all(pull, account(shop), tools())
    assert "example.com" not in str(caught.value)
    assert TOKEN not in str(caught.value)
