"""Products, and what people ask about their data, as Shopify sends them."""

from datetime import datetime

from simulation.model import Item, Person, Shop
from simulation.shopify_forms import Body, money, stamp


def product_body(shop: Shop, item: Item, at: datetime) -> Body:
    """A catalogue item with its variants and pictures."""
    variants = [_variant(item, place, at) for place in range(len(item.variants))]
    option = {
        "id": item.id + 11,
        "product_id": item.id,
        "name": "Title" if len(variants) == 1 else "Opção",
        "position": 1,
    }
    image = {
        "id": item.id + 7,
        "alt": item.title,
        "position": 1,
        "product_id": item.id,
        "created_at": stamp(item.created_at),
        "updated_at": stamp(item.created_at),
        "admin_graphql_api_id": f"gid://shopify/MediaImage/{item.id + 7}",
        "width": 1200,
        "height": 1200,
        "src": f"https://cdn.example.com/s/files/{item.handle}.jpg?v=1755000000",
        "variant_ids": [],
    }
    return {
        "admin_graphql_api_id": f"gid://shopify/Product/{item.id}",
        "body_html": item.body,
        "created_at": stamp(item.created_at),
        "handle": item.handle,
        "id": item.id,
        "product_type": item.kind,
        "published_at": stamp(item.created_at),
        "template_suffix": None,
        "title": item.title,
        "updated_at": stamp(at),
        "vendor": shop.name,
        "status": "active",
        "published_scope": "global",
        "tags": item.kind,
        "variants": variants,
        "options": [option | {"values": [variant.title for variant in item.variants]}],
        "images": [image],
        "image": image,
        "media": [],
        "variant_gids": [
            {"admin_graphql_api_id": v["admin_graphql_api_id"], "updated_at": v["updated_at"]}
            for v in variants
        ],
        "has_variants_that_requires_components": False,
        "category": None,
    }


def _variant(item: Item, place: int, at: datetime) -> Body:
    variant = item.variants[place]
    return {
        "admin_graphql_api_id": f"gid://shopify/ProductVariant/{variant.id}",
        "barcode": f"789{variant.id % 10_000_000_000:010d}",
        "compare_at_price": None,
        "created_at": stamp(item.created_at),
        "id": variant.id,
        "inventory_policy": "deny",
        "position": place + 1,
        "price": money(variant.price_cents),
        "product_id": item.id,
        "sku": variant.sku,
        "taxable": not item.gift_card,
        "title": variant.title,
        "updated_at": stamp(at),
        "option1": variant.title,
        "option2": None,
        "option3": None,
        "image_id": None,
        "inventory_item_id": variant.id + 2_000_000_000_000,
        "inventory_quantity": 40 + variant.id % 97,
        "old_inventory_quantity": 40 + variant.id % 97,
    }


def data_request_body(shop: Shop, person: Person, orders: list[int]) -> Body:
    """A person asked what the shop knows of them."""
    return _privacy(shop, person) | {"orders_requested": orders, "data_request": {"id": 9_990 + shop.number}}


def redact_body(shop: Shop, person: Person, orders: list[int]) -> Body:
    """A person asked to be forgotten."""
    return _privacy(shop, person) | {"orders_to_redact": orders}


def _privacy(shop: Shop, person: Person) -> Body:
    customer = {"id": person.customer_id, "email": person.email, "phone": person.phone}
    return {"shop_id": 60_000_000_000 + shop.number, "shop_domain": shop.domain, "customer": customer}
