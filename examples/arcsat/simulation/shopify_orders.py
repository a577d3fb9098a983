"""Orders as Shopify sends them: the whole order, every time anything about it changes."""

import hashlib

from simulation.model import Line, Order, OrderVersion, Person, ShopSimulation, Transaction
from simulation.shopify_forms import (
    APP_ID,
    LOCATION_ID,
    Body,
    included_tax,
    line_body,
    money,
    money_set,
    stamp,
    tax_line,
)
from simulation.shopify_payments import refund_body


def order_body(simulation: ShopSimulation, order: Order, version: OrderVersion) -> Body:
    """An order as one webhook carries it."""
    shop, person, shown = simulation.shop, order.person, order.presentment
    goods_cents = sum(line.price_cents * line.quantity for line in version.lines)
    discount_cents = sum(line.discount_cents for line in version.lines)
    subtotal_cents = goods_cents - discount_cents
    returned_cents = sum(line.subtotal_cents for refund in version.refunds for line in refund.lines)
    paid_cents = sum(
        t.amount_cents
        for t in _known(order, version)
        if t.kind in ("sale", "capture") and t.status == "success"
    )
    tax_cents = included_tax(version.total_cents)
    token = _token(order.id, "token")
    gid = f"gid://shopify/Order/{order.id}"
    contact = order.email if order.named else None
    totals: Body = {}
    for name, cents in (
        ("current_subtotal_price", subtotal_cents - returned_cents),
        ("current_total_discounts", discount_cents),
        ("current_total_price", max(version.total_cents - returned_cents, 0)),
        ("current_total_tax", included_tax(max(version.total_cents - returned_cents, 0))),
        ("subtotal_price", subtotal_cents),
        ("total_discounts", discount_cents),
        ("total_line_items_price", goods_cents),
        ("total_price", version.total_cents),
        ("total_tax", tax_cents),
    ):
        totals[name] = money(cents)
        totals[f"{name}_set"] = money_set(cents, shown)
    return {
        "id": order.id,
        "admin_graphql_api_id": gid,
        "app_id": APP_ID,
        "browser_ip": person.ip if order.channel == "web" else None,
        "buyer_accepts_marketing": order.id % 3 == 0,
        "cancel_reason": version.cancel_reason,
        "cancelled_at": stamp(version.cancelled_at),
        "cart_token": _token(order.id, "cart") if order.channel == "web" else None,
        "checkout_id": order.id + 22_100_000_000_000,
        "checkout_token": _token(order.id, "checkout"),
        "client_details": _client(order),
        "closed_at": None,
        "company": None,
        "confirmation_number": _token(order.id, "confirmation")[:9].upper(),
        "confirmed": True,
        "contact_email": contact,
        "created_at": stamp(order.created_at),
        "currency": "BRL",
        "current_shipping_price_set": money_set(order.shipping_cents, shown),
        "current_total_additional_fees_set": None,
        "current_total_duties_set": None,
        "customer_locale": "pt-BR",
        "device_id": None,
        "discount_codes": _discount_codes(order, discount_cents),
        "duties_included": False,
        "email": contact or "",
        "estimated_taxes": False,
        "financial_status": version.financial_status,
        "fulfillment_status": "fulfilled" if version.fulfilled else None,
        "landing_site": f"/products/{version.lines[0].item.handle}?utm_source=busca&utm_medium=cpc",
        "landing_site_ref": None,
        "location_id": LOCATION_ID if order.channel == "pos" else None,
        "merchant_business_entity_id": f"MTYwMzY{shop.number}",
        "merchant_of_record_app_id": None,
        "name": f"#{order.number}",
        "note": order.note,
        "note_attributes": [{"name": "CPF", "value": person.cpf}] if order.named else [],
        "number": order.number - 1000,
        "order_number": order.number,
        "order_status_url": f"https://{shop.domain}/60{shop.number}/orders/{token}/authenticate",
        "original_total_additional_fees_set": None,
        "original_total_duties_set": None,
        "payment_gateway_names": list(order.gateways),
        "phone": None,
        "po_number": None,
        "presentment_currency": "USD" if shown else "BRL",
        "processed_at": stamp(order.processed_at),
        "reference": None,
        "referring_site": "https://www.example.net/busca" if order.id % 5 == 0 else "",
        "source_identifier": None,
        "source_name": order.channel,
        "source_url": None,
        "tags": "",
        "tax_exempt": False,
        "tax_lines": [tax_line(tax_cents, shown)],
        "taxes_included": True,
        "test": order.test,
        "token": token,
        "total_cash_rounding_payment_adjustment_set": money_set(0, shown),
        "total_cash_rounding_refund_adjustment_set": money_set(0, shown),
        "total_outstanding": money(max(version.total_cents - paid_cents, 0)),
        "total_shipping_price_set": money_set(order.shipping_cents, shown),
        "total_tip_received": "0.00",
        "total_weight": sum(line.variant.grams * line.quantity for line in version.lines),
        "updated_at": stamp(version.at),
        "user_id": None,
        **totals,
        "billing_address": _address(person) if order.named else None,
        "customer": customer_body(person) if order.named and person.customer_id else None,
        "discount_applications": _discount_applications(order, discount_cents),
        "fulfillments": [_fulfillment(order, version)] if version.fulfilled else [],
        "line_items": [
            line_body(line, shown, version.fulfilled, _removed(version, line)) for line in version.lines
        ],
        "payment_terms": None,
        "refunds": [refund_body(refund) for refund in version.refunds],
        "shipping_address": _address(person) if order.named and order.shipping_cents else None,
        "shipping_lines": [_shipping_line(order)] if order.shipping_cents else [],
        "returns": [],
        "line_item_groups": [],
    }


def _known(order: Order, version: OrderVersion) -> list[Transaction]:
    return [transaction for transaction in order.transactions if transaction.at <= version.at]


def _removed(version: OrderVersion, line: Line) -> int:
    return sum(
        part.quantity for refund in version.refunds for part in refund.lines if part.line.id == line.id
    )


def _token(number: int, purpose: str) -> str:
    return hashlib.md5(f"{number}/{purpose}".encode(), usedforsecurity=False).hexdigest()


def _client(order: Order) -> Body:
    person = order.person
    return {
        "accept_language": "pt-BR",
        "browser_height": 820,
        "browser_ip": person.ip,
        "browser_width": 412,
        "session_hash": _token(order.id, "session"),
        "user_agent": person.browser,
    }


def _address(person: Person) -> Body:
    home = person.address
    return {
        "first_name": person.first_name,
        "address1": home.street,
        "phone": person.phone,
        "city": home.city,
        "zip": home.postcode,
        "province": home.state_name,
        "country": "Brazil",
        "last_name": person.last_name,
        "address2": home.district,
        "company": None,
        "latitude": None,
        "longitude": None,
        "name": f"{person.first_name} {person.last_name}",
        "country_code": "BR",
        "province_code": home.state,
    }


def customer_body(person: Person) -> Body:
    """The customer as it stands inside an order."""
    if person.customer_id is None:
        raise ValueError("a guest has no account")
    address = _address(person) | {
        "id": person.customer_id + 2_000_000_000_000,
        "customer_id": person.customer_id,
        "country_name": "Brazil",
        "default": True,
    }
    return {
        "id": person.customer_id,
        "created_at": stamp(person.created_at),
        "updated_at": stamp(person.created_at),
        "first_name": person.first_name,
        "last_name": person.last_name,
        "state": "disabled",
        "note": None,
        "verified_email": True,
        "multipass_identifier": None,
        "tax_exempt": False,
        "email": person.email,
        "phone": person.phone,
        "currency": "BRL",
        "tax_exemptions": [],
        "admin_graphql_api_id": f"gid://shopify/Customer/{person.customer_id}",
        "default_address": address,
    }


def _discount_codes(order: Order, cents: int) -> list[Body]:
    if order.discount_code is None or cents == 0:
        return []
    return [{"code": order.discount_code, "amount": money(cents), "type": "percentage"}]


def _discount_applications(order: Order, cents: int) -> list[Body]:
    if order.discount_code is None or cents == 0:
        return []
    value = "5.0" if order.discount_code == "VOLTA5" else "10.0"
    return [
        {
            "target_type": "line_item",
            "type": "discount_code",
            "value": value,
            "value_type": "percentage",
            "allocation_method": "across",
            "target_selection": "entitled",
            "code": order.discount_code,
        }
    ]


def _shipping_line(order: Order) -> Body:
    cents, shown = order.shipping_cents, order.presentment
    return {
        "id": order.id - 1_300_000_000_000,
        "carrier_identifier": "650f1a14fa979ec5c74d063e968411d4",
        "code": "PAC",
        "current_discounted_price_set": money_set(cents, shown),
        "discounted_price": money(cents),
        "discounted_price_set": money_set(cents, shown),
        "is_removed": False,
        "phone": None,
        "price": money(cents),
        "price_set": money_set(cents, shown),
        "requested_fulfillment_service_id": None,
        "source": "shopify",
        "title": "Entrega econômica",
        "tax_lines": [],
        "discount_allocations": [],
    }


def _fulfillment(order: Order, version: OrderVersion) -> Body:
    number = f"BR{order.id % 1_000_000_000:09d}BR"
    return {
        "id": order.id - 900_000_000_000,
        "admin_graphql_api_id": f"gid://shopify/Fulfillment/{order.id - 900_000_000_000}",
        "created_at": stamp(version.at),
        "location_id": LOCATION_ID,
        "name": f"#{order.number}.1",
        "order_id": order.id,
        "origin_address": {},
        "receipt": {},
        "service": "manual",
        "shipment_status": None,
        "status": "success",
        "tracking_company": "Correios",
        "tracking_number": number,
        "tracking_numbers": [number],
        "tracking_url": f"https://rastreio.example.com/{number}",
        "tracking_urls": [f"https://rastreio.example.com/{number}"],
        "updated_at": stamp(version.at),
        "line_items": [
            {"id": line.id, "quantity": line.quantity, "sku": line.variant.sku, "title": line.item.title}
            for line in version.lines
        ],
    }
