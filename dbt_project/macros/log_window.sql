{# The intermediate models that fold the log, each with a row in int_log_position. #}
{% macro folding_models() %}
    {{ return([
        'int_orders', 'int_transactions', 'int_refunds_reported', 'int_products', 'int_pull_requests',
        'int_releases', 'int_spend', 'int_surveys'
    ]) }}
{% endmacro %}

{# Condition on `batch`: what this run of a model reads, up to the cut that all models of a run share. #}
{% macro batches_of_this_run(model) -%}
    batch <= coalesce((
        select position.up_to from {{ ref('int_log_position') }} as position
        where position.model = '{{ model }}'
    ), 0)
    {%- if is_incremental() %}
    and {{ batches_unread_by(model) }}
    {%- endif %}
{%- endmacro %}

{# Condition on `batch`: what came after the intermediate model last read. Without a position everything did. #}
{% macro batches_unread_by(model) -%}
    batch > coalesce((
        select position.read_to from {{ ref('int_log_position') }} as position
        where position.model = '{{ model }}'
    ), 0)
{%- endmacro %}

{# Post-hook, in the transaction of the rows themselves: this model has read up to the cut. #}
{% macro mark_read() -%}
    update {{ ref('int_log_position') }} set read_to = up_to where model = '{{ this.identifier }}'
{%- endmacro %}

{# Post-hook: a table just made has no statistics until the server gets round to it, and plans badly until then. #}
{% macro gather_statistics() -%}
    {%- if not is_incremental() -%} analyze {{ this }} {%- endif -%}
{%- endmacro %}
