"""Transactions and refunds as Shopify sends them, alone or inside an order."""

import hashlib

from simulation.model import Adjustment, Person, Refund, RefundLine, Transaction
from simulation.shopify_forms import (
    APP_ID,
    LOCATION_ID,
    Body,
    included_tax,
    line_body,
    money,
    money_set,
    stamp,
)


def transaction_body(transaction: Transaction, person: Person) -> Body:
    """One transaction, as `order_transactions/create` and as part of a refund."""
    failed = transaction.status in ("failure", "error")
    body: Body = {
        "id": transaction.id,
        "admin_graphql_api_id": f"gid://shopify/OrderTransaction/{transaction.id}",
        "amount": money(transaction.amount_cents),
        "authorization": None
        if failed
        else hashlib.md5(str(transaction.id).encode(), usedforsecurity=False).hexdigest()[:16],
        "created_at": stamp(transaction.at),
        "currency": "BRL",
        "device_id": None,
        "error_code": "card_declined" if failed else None,
        "gateway": transaction.gateway,
        "kind": transaction.kind,
        "location_id": None,
        "message": "Transação recusada" if failed else "Transação aprovada",
        "order_id": transaction.order_id,
        "parent_id": transaction.parent_id,
        "payment_id": f"#{transaction.order_id % 100_000}.{transaction.id % 9 + 1}",
        "processed_at": stamp(transaction.at),
        "receipt": {"paid_amount": money(transaction.amount_cents)},
        "source_name": "web",
        "status": transaction.status,
        "test": transaction.test,
        "user_id": None,
        "total_unsettled_set": money_set(0),
        "manual_payment_gateway": False,
        "amount_rounding": None,
    }
    if transaction.gateway == "shopify_payments":
        body["payment_details"] = {
            "credit_card_bin": "424242",
            "avs_result_code": None,
            "cvv_result_code": "M",
            "credit_card_number": "•••• •••• •••• 4242",
            "credit_card_company": "Visa",
            "buyer_action_info": None,
            "credit_card_name": f"{person.first_name} {person.last_name}",
            "credit_card_wallet": None,
            "credit_card_expiration_month": 11,
            "credit_card_expiration_year": 2029,
            "payment_method_name": "visa",
        }
    return body


def refund_body(refund: Refund) -> Body:
    """One refund, as `refunds/create` and as part of an order."""
    return {
        "id": refund.id,
        "admin_graphql_api_id": f"gid://shopify/Refund/{refund.id}",
        "created_at": stamp(refund.created_at),
        "note": refund.note,
        "order_id": refund.order_id,
        "processed_at": stamp(refund.processed_at),
        "restock": bool(refund.lines),
        "total_duties_set": money_set(0),
        "user_id": 86_411_223_344,
        "order_adjustments": [_adjustment(refund, adjustment) for adjustment in refund.adjustments],
        "transactions": [_refund_transaction(transaction) for transaction in refund.transactions],
        "refund_line_items": [_refund_line(line) for line in refund.lines],
        "duties": [],
        "additional_fees": [],
        "refund_shipping_lines": [],
        "return": None,
    }


def _refund_transaction(transaction: Transaction) -> Body:
    return {
        "id": transaction.id,
        "admin_graphql_api_id": f"gid://shopify/OrderTransaction/{transaction.id}",
        "amount": money(transaction.amount_cents),
        "authorization": None,
        "created_at": stamp(transaction.at),
        "currency": "BRL",
        "device_id": None,
        "error_code": None if transaction.status == "success" else "processing_error",
        "gateway": transaction.gateway,
        "kind": transaction.kind,
        "location_id": None,
        "message": None,
        "order_id": transaction.order_id,
        "parent_id": transaction.parent_id,
        "processed_at": stamp(transaction.at),
        "receipt": {},
        "source_name": str(APP_ID),
        "status": transaction.status,
        "test": transaction.test,
        "user_id": None,
    }


def _adjustment(refund: Refund, adjustment: Adjustment) -> Body:
    return {
        "id": adjustment.id,
        "amount": money(adjustment.amount_cents),
        "amount_set": money_set(adjustment.amount_cents),
        "kind": adjustment.kind,
        "order_id": refund.order_id,
        "reason": "Refund discrepancy" if adjustment.kind == "refund_discrepancy" else "Shipping refund",
        "refund_id": refund.id,
        "tax_amount": "0.00",
        "tax_amount_set": money_set(0),
    }


def _refund_line(part: RefundLine) -> Body:
    tax_cents = included_tax(part.subtotal_cents)
    return {
        "id": part.id,
        "line_item_id": part.line.id,
        "location_id": LOCATION_ID,
        "quantity": part.quantity,
        "restock_type": "return",
        "subtotal": money(part.subtotal_cents),
        "subtotal_set": money_set(part.subtotal_cents),
        "total_tax": money(tax_cents),
        "total_tax_set": money_set(tax_cents),
        "line_item": line_body(part.line),
    }
