"""The table of event types."""

import re

import pytest

from batuta.contracts.contract import Contracts
from batuta.events.types import EVENT_TYPES, lookup, matches


@pytest.mark.parametrize("row", EVENT_TYPES.values(), ids=lambda row: row.type)
def test_every_row_is_complete_and_has_a_contract(row) -> None:  # pyright: ignore[reportMissingParameterType]
    assert re.fullmatch(r"com\.(shopify|github|batuta|avila|whatsapp|notion)\.[a-z_.]*(\*|[a-z_]+)", row.type)
    assert row.contract in Contracts.load().names
    assert all((row.vendor_name, row.connector, row.dataset, row.subject, row.id, row.time))


@pytest.mark.parametrize(
    ("event_type", "dataset"),
    [
        ("com.shopify.orders.created", "orders"),
        ("com.github.pull_request.closed", "pull_requests"),
        ("com.github.pull_request_review.submitted", "reviews"),
        ("com.whatsapp.account_update.received", "other"),
        ("com.github.star.created", "other"),
        ("com.github.push.pushed", "pushes"),
        ("com.github.deployment.created", "deployments"),
        ("com.github.deployment_status.created", "deployments"),
        ("com.shopify.customers.merged", "customer_merges"),
        ("com.batuta.rate.recorded", "rates"),
        ("com.batuta.survey.sent", "invitations"),
    ],
)
def test_a_type_belongs_to_itself_or_its_nearest_family(event_type: str, dataset: str) -> None:
    row = lookup(event_type)
    assert row is not None
    assert row.dataset == dataset


def test_a_type_of_nobody_has_no_row() -> None:
    assert lookup("com.avila.invoice.paid") is None
    assert lookup("com.shopify.orders.invented") is None


def test_a_pattern_takes_in_its_family_only() -> None:
    assert matches("com.shopify.orders.*", "com.shopify.orders.created")
    assert not matches("com.shopify.orders.*", "com.shopify.order_transactions.created")
    assert not matches("com.shopify.orders.created", "com.shopify.orders.updated")
