"""The whole company over its period: `simulate` is a pure function of seed and scale."""

from dataclasses import replace

from simulation.development import deployments, incidents, issues, pull_requests, releases, reviews
from simulation.marketing import answers, invitations, rates, spend
from simulation.model import Shop, ShopSimulation, Simulation
from simulation.orders import orders
from simulation.people import catalogue

SHOPS = (
    Shop(
        product="arcsat",
        domain="arcsat-demo.myshopify.com",
        name="Arcsat",
        repository="avila-inc/arcsat",
        repository_id=801_204_461,
        sku_prefix="ARC",
        customers=2_000,
        orders=6_000,
        surveys=400,
        pull_requests=120,
        releases=20,
        monthly_media_cents=4_200_000,
        paid_topic=False,
    ),
    Shop(
        product="lojablock",
        domain="lojablock-demo.myshopify.com",
        name="Loja Block",
        repository="avila-inc/lojablock",
        repository_id=801_204_462,
        sku_prefix="LBK",
        customers=200,
        orders=500,
        surveys=40,
        pull_requests=24,
        releases=6,
        monthly_media_cents=450_000,
        paid_topic=True,
    ),
)
SCALES = {"demo": 1, "small": 20, "large": 1}
"""By how much each scale divides people and orders; the rest shrinks less, so that every case occurs."""
LARGER = {"large": 10}
"""By how much a scale multiplies everything that is counted."""


def simulate(seed: int = 7, scale: str = "demo") -> Simulation:
    """Live through the period once.

    Args:
        seed: same seed, same company, to the last byte.
        scale: a name in `SCALES`.
    """
    return Simulation(
        seed=seed, scale=scale, products={shop.product: _live(seed, _sized(shop, scale)) for shop in SHOPS}
    )


def _sized(shop: Shop, scale: str) -> Shop:
    divisor, factor = SCALES[scale], LARGER.get(scale, 1)
    if factor > 1:
        return replace(
            shop,
            customers=shop.customers * factor,
            orders=shop.orders * factor,
            surveys=shop.surveys * factor,
            pull_requests=shop.pull_requests * factor,
            releases=shop.releases * factor,
        )
    if divisor == 1:
        return shop
    return replace(
        shop,
        customers=max(24, shop.customers // divisor),
        orders=max(60, shop.orders // divisor),
        surveys=max(16, shop.surveys * 3 // divisor),
        pull_requests=max(10, shop.pull_requests * 4 // divisor),
        releases=max(5, shop.releases * 8 // divisor),
    )


def _live(seed: int, shop: Shop) -> ShopSimulation:
    items = catalogue(seed, shop)
    people, placed, mismatches = orders(seed, shop, items)
    given = answers(seed, shop, placed)
    pulls, released = pull_requests(seed, shop), releases(seed, shop)
    deployed = deployments(seed, shop, released)
    return ShopSimulation(
        shop=shop,
        items=items,
        people=people,
        orders=placed,
        mismatches=mismatches,
        spend=spend(seed, shop),
        answers=given,
        pull_requests=pulls,
        releases=released,
        issues=issues(seed, shop),
        incidents=incidents(seed, shop, deployed),
        reviews=reviews(seed, shop, pulls),
        deployments=deployed,
        invitations=invitations(seed, shop, placed, given),
        rates=rates(seed, shop),
    )
