-- One row per product: what its recorded rows were counted in.
{{
    config(
        unique_key='product',
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': ['product'], 'unique': true}],
    )
}}

select
    products.product,
    products.currency,
    products.time_zone,
    {{ this_refresh('int_settings') }}::bigint as refresh
from {{ ref('stg_registry__products') }} as products
{%- if is_incremental() %}
    left join {{ this }} as known on products.product = known.product
    where known.currency is distinct from products.currency or known.time_zone is distinct from products.time_zone
{%- endif %}
