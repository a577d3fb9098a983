-- What a refresh did not write need not be counted again: a contract keeps what its last check was made on.

alter table batuta.contract_checks
    -- Digest of the models that made what was checked; '' where nobody knows.
    add column models text not null default '',
    -- The oldest transaction whose rows the check may not have seen.
    add column seen_before bigint,
    -- When all products were counted last.
    add column all_counted_at timestamptz,
    -- Rows by product.
    add column product_rows jsonb not null default '{}';
