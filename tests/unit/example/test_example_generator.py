"""The example company's generator: sizes, signatures, determinism, files as the manifest says."""

import base64
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from batuta.landing.model import Delivery, Rejected
from examples.arcsat.generate import Manifest, generate, simulate
from sensors.connectors import connector
from sensors.connectors.protocol import Unverified
from tests.support.truth import acquisition_days, customer_key, day_of, expected_kpis, rounded

SECRETS = {
    f"{product}-{name}": f"key of {product} {name}".encode()
    for product in ("arcsat", "lojablock")
    for name in ("shopify", "github")
}
RECEIVED_AT = datetime(2025, 11, 13, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deliveries")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return generate(folder, SECRETS, scale="small")


def lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    for line in (folder / name).read_bytes().splitlines():
        yield json.loads(line)


def body_of(captured: dict[str, Any]) -> bytes:
    return (
        base64.b64decode(captured["body_base64"]) if "body_base64" in captured else captured["body"].encode()
    )


def delivery(product: str, name: str, captured: dict[str, Any]) -> Delivery:
    headers = {key.lower(): value for key, value in captured["headers"].items()}
    return Delivery(product, name, None, headers, body_of(captured), RECEIVED_AT)


def test_same_seed_and_secrets_give_the_same_bytes(manifest: Manifest, tmp_path: Path) -> None:
    again = generate(tmp_path, SECRETS, scale="small")
    assert [file.sha256 for file in again.files] == [file.sha256 for file in manifest.files]


def test_another_seed_gives_another_company(manifest: Manifest, tmp_path: Path) -> None:
    other = generate(tmp_path, SECRETS, seed=8, scale="small")
    assert not {file.sha256 for file in other.files} & {file.sha256 for file in manifest.files}


def test_other_secrets_change_the_signatures_only(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    generate(tmp_path, {name: b"other " + key for name, key in SECRETS.items()}, scale="small")
    signatures = {"X-Shopify-Hmac-Sha256", "X-Hub-Signature", "X-Hub-Signature-256"}
    for file in manifest.files:
        if file.connector == "events":
            assert (folder / file.path).read_bytes() == (tmp_path / file.path).read_bytes()
            continue
        for first, second in zip(lines(folder, file.path), lines(tmp_path, file.path), strict=True):
            assert body_of(first) == body_of(second)
            changed = {key for key, value in first["headers"].items() if second["headers"][key] != value}
            assert changed <= signatures


def test_the_manifest_counts_every_line_and_names_its_digest(manifest: Manifest, folder: Path) -> None:
    for file in manifest.files:
        content = (folder / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
        assert content.count(b"\n") == file.deliveries
        assert file.quarantined == len(file.broken)


def test_sound_deliveries_are_read_and_broken_ones_refused_unless_a_contract_must_judge(
    manifest: Manifest, folder: Path
) -> None:
    judged_by_contract = {
        "no time of update",
        "line items are a text",
        "a price that is no number",
        "a transaction without amount",
        "merged on no date",
    }
    for file in manifest.files:
        if file.connector == "events":
            continue
        speaker = connector(file.connector)
        refused = set[str]()
        for number, captured in enumerate(lines(folder, file.path), start=1):
            sent = delivery(file.product, file.connector, captured)
            try:
                speaker.verify(sent, [SECRETS[f"{file.product}-{file.connector}"]])
                speaker.parse(sent)
            except (Rejected, Unverified):
                refused.add(file.broken[number])
        assert refused == set(file.broken.values()) - judged_by_contract


def test_headers_are_those_of_the_vendors(folder: Path, manifest: Manifest) -> None:
    shopify = next(lines(folder, "arcsat.shopify.jsonl"))["headers"]
    assert {
        "X-Shopify-Topic", "X-Shopify-Hmac-Sha256", "X-Shopify-Shop-Domain", "X-Shopify-API-Version",
        "X-Shopify-Webhook-Id", "X-Shopify-Triggered-At", "X-Shopify-Event-Id", "User-Agent", "Content-Type",
    } <= shopify.keys()  # fmt: skip
    captured = next(lines(folder, "arcsat.github.jsonl"))
    assert captured["headers"]["X-GitHub-Event"] == "ping"
    expected = hmac.new(SECRETS["arcsat-github"], body_of(captured), hashlib.sha256).hexdigest()
    assert captured["headers"]["X-Hub-Signature-256"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("file", "header", "topic", "low", "high"),
    [
        ("arcsat.shopify.jsonl", "X-Shopify-Topic", "orders/create", 5_000, 14_000),
        ("arcsat.github.jsonl", "X-GitHub-Event", "pull_request", 20_000, 30_000),
        ("arcsat.github.jsonl", "X-GitHub-Event", "release", 8_000, 12_000),
    ],
)
def test_bodies_have_the_size_of_the_vendors(
    folder: Path, manifest: Manifest, file: str, header: str, topic: str, low: int, high: int
) -> None:
    sizes = sorted(
        len(body_of(captured)) for captured in lines(folder, file) if captured["headers"].get(header) == topic
    )
    assert low <= sizes[len(sizes) // 2] <= high


def test_all_personal_data_is_of_reserved_domains(folder: Path, manifest: Manifest) -> None:
    for captured in lines(folder, "arcsat.shopify.jsonl"):
        if captured["headers"]["X-Shopify-Topic"] == "orders/create" and "body" in captured:
            order = json.loads(captured["body"])
            if isinstance(order, dict) and order.get("email"):
                assert re.fullmatch(r".+@example\.(com|org|net)", order["email"].lower())


def test_the_company_has_the_size_it_claims() -> None:
    company = simulate(scale="demo")
    arcsat, lojablock = company.products["arcsat"], company.products["lojablock"]
    assert (len(arcsat.people), len(arcsat.orders)) == (2_000, 6_000)
    assert (len(lojablock.people), len(lojablock.orders)) == (200, 500)
    assert (len(arcsat.answers), len(arcsat.pull_requests), len(arcsat.releases)) == (400, 120, 20)
    assert {order.person.key for order in arcsat.orders} == set(range(2_000))
    assert Counter(m.kind for m in arcsat.mismatches) == {
        "paid_amount_differs": 3,
        "refund_exceeds_captured": 3,
        "paid_without_transaction": 3,
    }


def test_versions_of_an_order_rise_and_stay_within_the_period() -> None:
    for lived in simulate(scale="small").products.values():
        for order in lived.orders:
            times = [version.at for version in order.versions]
            assert times == sorted(set(times))
            assert date(2025, 8, 15) <= day_of(order.processed_at) <= date(2025, 11, 12)


def test_only_the_planted_orders_disagree_with_their_payments() -> None:
    for lived in simulate(seed=11, scale="demo").products.values():
        planted = {mismatch.order_id for mismatch in lived.mismatches}
        found = set[int]()
        for order in lived.orders:
            captured = sum(
                t.amount_cents
                for t in order.transactions
                if t.kind in ("sale", "capture") and t.status == "success"
            )
            returned = sum(
                t.amount_cents for t in order.transactions if t.kind == "refund" and t.status == "success"
            )
            settled = order.state.financial_status in ("paid", "partially_refunded", "refunded")
            if returned > captured or (settled and captured != order.state.total_cents):
                found.add(order.id)
        assert found == planted


@pytest.mark.parametrize("as_of", [date(2025, 8, 15), date(2025, 9, 30), date(2025, 11, 12)])
def test_truth_never_counts_a_customer_twice(as_of: date) -> None:
    lived = simulate(scale="small").products["arcsat"]
    acquired = acquisition_days(lived)
    keys = {customer_key(order) for order in lived.orders} - {None}
    assert set(acquired) < keys
    assert expected_kpis(simulate(scale="small"), "arcsat", as_of).ltv.sample_size == sum(
        day <= as_of for day in acquired.values()
    )


def test_rounding_is_half_away_from_zero() -> None:
    from fractions import Fraction

    assert [str(rounded(Fraction(n, 1000))) for n in (1005, -1005, 1004, 2675)] == [
        "1.01",
        "-1.01",
        "1.00",
        "2.68",
    ]
