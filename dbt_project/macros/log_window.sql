{# The intermediate models that fold the log, each with a row in int_log_position. #}
{% macro folding_models() %}
    {{ return([
        'int_orders', 'int_transactions', 'int_refunds_reported', 'int_products', 'int_pull_requests',
        'int_releases', 'int_issues', 'int_reviews', 'int_deployments_reported', 'int_deployment_statuses', 'int_spend',
        'int_surveys', 'int_invitations', 'int_rates', 'int_customer_merges'
    ]) }}
{% endmacro %}

{# The models that are made of those, row by row for what has changed; each has a row in int_log_position as well. #}
{% macro derived_models() %}
    {{ return([
        'int_settings', 'int_order_customers', 'int_order_changes', 'int_spend_changes', 'int_survey_changes',
        'int_delivery_changes', 'int_issue_changes', 'int_daily_changes', 'fct_orders', 'fct_refunds',
        'fct_lead_times', 'fct_incidents', 'fct_customer_purchases', 'fct_product_daily', 'dim_customers'
    ]) }}
{% endmacro %}

{# A number out of a model's row in int_log_position; 0 where it has none yet. #}
{% macro position_of(model, column) -%}
    coalesce((
        select position.{{ column }} from {{ ref('int_log_position') }} as position
        where position.model = '{{ model }}'
    ), 0)
{%- endmacro %}

{# Condition on `batch`: what this run of a model reads, up to the cut that all models of a run share. #}
{% macro batches_of_this_run(model) -%}
    batch <= {{ position_of(model, 'up_to') }}
    {%- if is_incremental() %}
    and {{ batches_unread_by(model) }}
    {%- endif %}
{%- endmacro %}

{# Condition on `batch`: what came after the model last read. Without a position everything did. #}
{% macro batches_unread_by(model) -%}
    batch > {{ position_of(model, 'read_to') }}
{%- endmacro %}

{#
  The same for a view, which reads to the newest committed batch. Both ends stand there: a planner that knows neither
  takes such a range for narrow and reaches it by index; an open one it takes for a third of the log, and reads all.
#}
{% macro batches_committed_unread_by(model) -%}
    {{ batches_unread_by(model) }}
    and batch <= (select max(batches.batch) from {{ ref('stg_registry__batches') }} as batches)
{%- endmacro %}

{# The number of this refresh; rows of derived models carry that of the refresh that wrote them last. #}
{% macro this_refresh(model) -%}
    {{ position_of(model, 'refresh') }}
{%- endmacro %}

{# Condition on `refresh`: what was written since the model last ran to its end; everything, if it is built anew. #}
{% macro refreshed_since(model, relation) -%}
    {%- if is_incremental() -%}
    {{ pending_for(model, relation) }}
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# The same for a view: what is recorded now and the model has not taken in yet. #}
{% macro pending_for(model, relation) -%}
    {{ relation }}.refresh > {{ position_of(model, 'done') }}
    and {{ relation }}.refresh <= {{ this_refresh(model) }}
{%- endmacro %}

{#
  Pre-hook: with much to take in, rows are joined by hash. A planner that does not know the ends of a range takes it for
  narrow, and reaches each of its rows on its own: right for a day's news, and without end for a year's.
#}
{% macro plan_for_much() -%}
    {%- if this.identifier in folding_models() + derived_models() and is_incremental() -%}
    select set_config(
        'enable_nestloop',
        case when coalesce(sum(batches.landed), 0) > 2000 then 'off' else 'on' end,
        true
    )
    from {{ source('registry', 'batches') }} as batches
    where
        batches.batch > {{ position_of(this.identifier, 'read_to') }}
        and batches.batch <= {{ position_of(this.identifier, 'up_to') }}
    {%- endif -%}
{%- endmacro %}

{# Post-hook, in the transaction of the rows themselves: this model has read up to the cut. #}
{% macro mark_read() -%}
    update {{ ref('int_log_position') }} set read_to = up_to, done = refresh where model = '{{ this.identifier }}'
{%- endmacro %}

{#
  Post-hooks, after the commit: a table just made has no statistics until the server gets round to it, and plans badly
  until then. In the transaction that filled it, or before the session has told the server of its rows, the server would
  count them as news all the same, look through the table again within the minute, and have every reader plan anew.
#}
{% macro tell_statistics() -%}
    {%- if is_made_anew() -%} select pg_stat_force_next_flush() {%- endif -%}
{%- endmacro %}

{% macro gather_statistics() -%}
    {%- if is_made_anew() -%} vacuum (analyze) {{ this }} {%- endif -%}
{%- endmacro %}

{% macro is_made_anew() -%}
    {{ return(this.identifier in folding_models() + derived_models() and not is_incremental()) }}
{%- endmacro %}

{# Post-hook: every refresh writes these rows and every live view reads them; looked through, all would plan anew. #}
{% macro look_through_seldom() -%}
    {%- if not is_incremental() -%}
    alter table {{ this }} set (
        autovacuum_analyze_threshold = 2000,
        autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = 2000
    )
    {%- endif -%}
{%- endmacro %}
