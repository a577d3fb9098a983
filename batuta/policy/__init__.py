"""Policy: what may land and how, decided once per product, event type, policy and contract."""
