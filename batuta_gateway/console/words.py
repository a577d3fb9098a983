"""The console's own words, in Portuguese and English. What KPIs are called and mean comes from their catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "console": ("Console", "Console"),
    "skip": ("Ir para o conteúdo", "Skip to content"),
    "other_language": ("English", "Português"),
    "products": ("Produtos", "Products"),
    "products_lead": (
        "Cada indicador conta todo evento já gravado.",
        "Every KPI counts every event that is in the log.",
    ),
    "no_products": (
        "Nenhum produto registrado. Rode `batuta apply CAMINHO` ou `batuta demo`.",
        "No product is registered. Run `batuta apply PATH`, or `batuta demo`.",
    ),
    "more_products": ("Outros produtos", "More products"),
    "kpis": ("Indicadores", "KPIs"),
    "no_figures": ("ainda sem números", "no figures yet"),
    "as_of": ("em {day}", "as of {day}"),
    "fresh": ("eventos até {moment}", "events up to {moment}"),
    "kpi": ("Indicador", "KPI"),
    "value": ("Valor", "Value"),
    "no_value": ("sem valor", "no value"),
    "window": ("Período", "Window"),
    "last_days": ("30 dias", "30 days"),
    "note": ("Observação", "Note"),
    "better": ("Melhor", "Better"),
    "up": ("maior", "higher"),
    "down": ("menor", "lower"),
    "owner": ("Responsável", "Owner"),
    "unit": ("Unidade", "Unit"),
    "grain": ("Grão", "Grain"),
    "basis": ("Base de cálculo", "Basis"),
    "name": ("Nome", "Name"),
    "sample": ("Amostra", "Sample"),
    "live": ("Ao vivo", "Live"),
    "yes": ("sim", "yes"),
    "no": ("não", "no"),
    "definition": ("Definição", "Definition"),
    "chart": ("Os últimos 90 dias", "The last 90 days"),
    "days": ("Dia a dia", "Day by day"),
    "day": ("Dia", "Day"),
    "events": ("De quais eventos vem este valor", "Which events this value was made of"),
    "reports": ("Relatórios", "Reports"),
    "no_reports": ("Nenhum relatório ainda.", "No report yet."),
    "accounts": ("Contas", "Accounts"),
    "no_accounts": (
        "Nenhuma conta declarada. Acrescente uma em spec.connectors do produto e rode `batuta apply CAMINHO`.",
        "No account is declared. Add one under spec.connectors of the product, and run `batuta apply PATH`.",
    ),
    "account": ("Conta", "Account"),
    "standing": ("Situação", "Standing"),
    "fetched": ("Última busca", "Last fetched"),
    "handed_over": ("Entregue pela origem", "Handed over"),
    "missing": ("Sem explicação", "Not accounted for"),
    "account_well": ("em ordem", "well"),
    "account_sends": ("só envia", "only sends"),
    "account_never": ("nunca buscada", "never fetched"),
    "account_resting": ("em pausa", "resting"),
    "account_stopped": ("parada", "stopped"),
    "account_failing": ("falhando", "failing"),
    "account_refused": ("entregas recusadas", "refused"),
    "docs": ("Documentação dos dados", "Data documentation"),
    "catalogue": ("Definições na documentação", "Definitions in the documentation"),
    "dagster": ("Dagster", "Dagster"),
    "not_found": ("Não há nada neste endereço.", "There is nothing at this address."),
    "unavailable": (
        "O banco de dados não responde. Tente de novo em instantes.",
        "The database does not answer. Try again in a moment.",
    ),
    "not_built": (
        "Os indicadores ainda não foram calculados. Rode o job refresh_marts uma vez, no Dagster.",
        "The KPIs have not been built yet. Run the job refresh_marts once, in Dagster.",
    ),
}


def words_of(locale: str) -> Mapping[str, str]:
    """The words in the language of a locale."""
    place = 0 if locale.startswith("pt") else 1
    return MappingProxyType({name: pair[place] for name, pair in _WORDS.items()})
