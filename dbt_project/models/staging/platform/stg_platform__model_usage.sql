-- One row per skill run and language model.
select
    skill_run as skill_run_id,
    model,
    calls,
    input_tokens,
    output_tokens
from {{ source('platform', 'model_usage') }}
