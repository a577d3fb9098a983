-- What customers were predicted to be worth: one row per product, day and horizon. Says nothing of any one customer.

create table batuta.ltv_predictions (
    product text not null,
    as_of date not null,
    horizon_days integer not null check (horizon_days > 0),
    -- Mean per acquired customer, and its 95 % interval; NULL where nothing can be said, and why.
    value numeric(18, 4),
    low numeric(18, 4),
    high numeric(18, 4),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    customers integer not null check (customers >= 0),
    repeat_customers integer not null check (repeat_customers between 0 and customers),
    -- What the models came to, and what they rest on.
    parameters jsonb not null,
    reason text,
    -- The last batch the marts had taken in.
    batch bigint not null,
    method text not null,
    computed_at timestamptz not null,
    primary key (product, as_of, horizon_days),
    check ((value is null) = (reason is not null)),
    check (num_nulls(value, low, high) in (0, 3)),
    check (low <= value and value <= high)
);

alter table batuta.ltv_predictions owner to batuta_owner;
grant select, insert, update on batuta.ltv_predictions to batuta_writer;
grant select on batuta.ltv_predictions to batuta_reader;
