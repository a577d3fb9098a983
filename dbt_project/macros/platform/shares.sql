{# An end of the 95 % interval of a share, in percent, by Wilson: honest for few cases and near 0 and 100. #}
{% macro wilson(good, total, sign) -%}
    case
        when {{ total }} > 0
            then 100 * greatest(0, least(1, (
                {{ good }}::numeric / {{ total }} + 1.96 * 1.96 / (2 * {{ total }})
                {{ sign }} 1.96 * sqrt(
                    ({{ good }}::numeric / {{ total }}) * (1 - {{ good }}::numeric / {{ total }}) / {{ total }}
                    + 1.96 * 1.96 / (4 * {{ total }}::numeric * {{ total }})
                )
            ) / (1 + 1.96 * 1.96 / {{ total }})))
    end
{%- endmacro %}

{# A share in percent; NULL where there is nothing to share. #}
{% macro percent_of(part, whole) -%}
    100 * ({{ part }})::numeric / nullif({{ whole }}, 0)
{%- endmacro %}
