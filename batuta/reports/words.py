"""The page's own words, in Portuguese and English. What skills say comes from the skills."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DEFAULT_LANGUAGE: Final = "pt"

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "report": ("Revisão diária", "Daily review"),
    "subject": ("{product}: revisão diária de {day}", "{product}: daily review of {day}"),
    "good": ("Tudo em ordem", "All in order"),
    "attention": ("Pede atenção", "Needs attention"),
    "skip": ("Ir para o conteúdo", "Skip to content"),
    "contents": ("Nesta página", "On this page"),
    "summary": ("Em resumo", "At a glance"),
    "nothing_to_note": ("Nada que peça atenção hoje.", "Nothing needs attention today."),
    "kpis": ("Indicadores", "Key figures"),
    "kpis_lead": (
        "Valores em {day}. A variação compara com sete dias antes; a linha mostra os últimos 30 dias.",
        "Values on {day}. Changes are against seven days earlier; lines show the last 30 days.",
    ),
    "week_before": ("em 7 dias", "in 7 days"),
    "no_comparison": ("sem valor de 7 dias antes", "no value 7 days earlier"),
    "no_value": ("sem valor", "no value"),
    "percentage_points": ("p.p.", "pp"),
    "same": ("sem variação", "unchanged"),
    "better": ("melhor", "better"),
    "worse": ("pior", "worse"),
    "sample": ("n = {size}", "n = {size}"),
    "interval": ("intervalo de 95 %: {low} a {high}", "95% interval: {low} to {high}"),
    "charts": ("Em gráficos", "In charts"),
    "chart_sales": ("Vendas líquidas por dia", "Net sales per day"),
    "chart_sales_note": ("A linha é a média de 7 dias.", "The line is the 7-day mean."),
    "chart_customers": ("Novos clientes por dia", "New customers per day"),
    "chart_nps": ("NPS em 90 dias, com intervalo de 95 %", "NPS over 90 days, with its 95% interval"),
    "chart_unit": ("LTV e CAC", "LTV and CAC"),
    "chart_lead": ("Tempo até a entrega (mediana, horas)", "Lead time (median, hours)"),
    "chart_segments": ("Vendas líquidas por segmento", "Net sales by segment"),
    "mean_of_seven": ("média de 7 dias", "7-day mean"),
    "chart_description": (
        "{title}: de {first} a {last}; último valor {value}, menor {low}, maior {high}.",
        "{title}: {first} to {last}; latest value {value}, lowest {low}, highest {high}.",
    ),
    "chart_facts": ("Dados do gráfico", "Data of the chart"),
    "anomalies": ("Fora do padrão", "Out of the ordinary"),
    "anomalies_none": ("Nenhum dia fora do padrão.", "No day stands out."),
    "reconcile": ("Conciliação", "Reconciliation"),
    "reconcile_lead": (
        "Pedidos, pagamentos e devoluções, pedido a pedido.",
        "Orders, payments and refunds, order by order.",
    ),
    "kind": ("Diferença", "Difference"),
    "orders": ("Pedidos", "Orders"),
    "order": ("Pedido", "Order"),
    "day": ("Data", "Date"),
    "expected": ("Esperado", "Expected"),
    "found": ("Encontrado", "Found"),
    "amount": ("Valor", "Amount"),
    "what_to_do": ("O que fazer", "What to do"),
    "mismatches": ("As maiores diferenças", "The greatest differences"),
    "more_mismatches": (
        "e mais {count}; os totais acima incluem todas.",
        "and {count} more; the totals above have them all.",
    ),
    "reconcile_good": ("Tudo confere.", "Everything agrees."),
    "customers": ("Clientes", "Customers"),
    "segment": ("Segmento", "Segment"),
    "share": ("Fatia", "Share"),
    "net_sales": ("Vendas líquidas", "Net sales"),
    "average_order": ("Ticket médio", "Average order"),
    "silent_days": ("Dias sem comprar", "Days since order"),
    "action": ("Ação recomendada", "Recommended action"),
    "first_move": ("comece por aqui", "start here"),
    "campaign": ("Rascunho de campanha", "Campaign draft"),
    "draft_badge": ("rascunho, nada foi enviado", "draft, nothing was sent"),
    "audience": ("Público", "Audience"),
    "offer": ("Oferta", "Offer"),
    "valid_until": ("Válida até", "Valid until"),
    "may_bring": ("Pode trazer", "May bring"),
    "message_email": ("E-mail", "E-mail"),
    "message_whatsapp": ("WhatsApp", "WhatsApp"),
    "message_subject": ("Assunto", "Subject"),
    "guardrails": ("Antes de enviar", "Before sending"),
    "quality": ("Qualidade dos dados", "Data quality"),
    "quality_lead": (
        "O que os fornecedores enviaram desde o início, e o que foi feito disso.",
        "What the vendors sent since the beginning, and what became of it.",
    ),
    "connector": ("Origem", "Source"),
    "landed": ("Aceitos", "Landed"),
    "duplicate": ("Repetidos", "Repeated"),
    "quarantined": ("Em quarentena", "Quarantined"),
    "filtered": ("Deixados de fora", "Left out"),
    "held": ("Aguardando na quarentena", "Waiting in quarantine"),
    "held_none": ("A quarentena está vazia.", "The quarantine is empty."),
    "reason": ("Motivo", "Reason"),
    "count": ("Quantidade", "Count"),
    "total": ("Total", "Total"),
    "fresh": ("Dados até {moment} ({zone}), lote {batch}", "Data up to {moment} ({zone}), batch {batch}"),
    "fresh_none": ("Ainda não há dados deste produto.", "There is no data of this product yet."),
    "facts": ("Fatos e linhagem", "Facts and lineage"),
    "facts_lead": (
        "Cada número desta página leva a uma linha daqui: de onde veio, de que dia é e o que foi contado.",
        "Every number on this page leads to a line here: where it came from, of which day it is and what was counted.",
    ),
    "fact": ("Fato", "Fact"),
    "value": ("Valor", "Value"),
    "as_of": ("Em", "As of"),
    "lineage": ("De onde vem", "Where it comes from"),
    "evidence": ("Evidência", "Evidence"),
    "definitions": ("Como cada indicador é definido:", "How each KPI is defined:"),
    "definitions_link": ("documentação dos dados", "data documentation"),
    "from_request": ("informado com o pedido: {field}", "given with the request: {field}"),
    "from_facts": ("calculado: {formula}", "computed: {formula}"),
    "rows": ("{count} linhas", "{count} rows"),
    "row": ("{count} linha", "{count} row"),
    "filter": ("filtro", "filter"),
    "columns": ("colunas", "columns"),
    "batch": ("lote {batch}", "batch {batch}"),
    "query": ("consulta {name}", "query {name}"),
    "events": ("{count} eventos", "{count} events"),
    "sample_events": ("por exemplo", "for example"),
    "origin_report": ("Página", "Page"),
    "written_by_template": (
        "Nenhum modelo de linguagem escreveu esta página: seus textos são fixos, preenchidos com fatos registrados.",
        "No language model wrote this page: its texts are fixed templates filled with recorded facts.",
    ),
    "missing": ("Esta análise não foi feita nesta execução.", "This analysis was not made in this run."),
    "notice_mismatch_one": (
        "{count} pedido não confere ({amount} em risco)",
        "{count} order does not agree ({amount} at risk)",
    ),
    "notice_mismatch": (
        "{count} pedidos não conferem ({amount} em risco)",
        "{count} orders do not agree ({amount} at risk)",
    ),
    "notice_anomaly_one": ("{count} valor fora do padrão", "{count} value out of the ordinary"),
    "notice_anomaly": ("{count} valores fora do padrão", "{count} values out of the ordinary"),
    "notice_held_one": ("{count} entrega em quarentena", "{count} delivery in quarantine"),
    "notice_held": ("{count} entregas em quarentena", "{count} deliveries in quarantine"),
    "notice_no_value": ("{kpi} sem valor", "no value for {kpi}"),
    "attached": (
        "A página completa, com gráficos, tabelas e a origem de cada número, está em anexo.",
        "The whole page, with charts, tables and where each number comes from, is attached.",
    ),
    "sent_to": (
        "Enviado porque o pipeline {pipeline} tem este endereço.",
        "Sent because the pipeline {pipeline} has this address.",
    ),
    "reason_code.json": ("JSON inválido", "invalid JSON"),
    "reason_code.signature": ("assinatura inválida ou ausente", "bad or missing signature"),
    "reason_code.contract": ("não cumpre o contrato", "breaks its contract"),
    "reason_code.identity": ("sem identificação", "no identity"),
    "reason_code.shape": ("forma inesperada", "unexpected shape"),
    "reason_code.headers": ("cabeçalho ausente ou inválido", "missing or bad header"),
    "reason_code.event": ("CloudEvent inválido", "invalid CloudEvent"),
    "reason_code.unknown_topic": ("tópico que não é lido", "topic that is not read"),
    "reason_code.no_contract": ("tipo sem contrato", "type without contract"),
    "reason.no_day": ("a série ainda não chega a este dia", "the series does not reach this day yet"),
}
_PORTUGUESE: Final[Mapping[str, str]] = MappingProxyType({key: texts[0] for key, texts in _WORDS.items()})
_ENGLISH: Final[Mapping[str, str]] = MappingProxyType({key: texts[1] for key, texts in _WORDS.items()})


def words_of(locale: str) -> Mapping[str, str]:
    """The words of a locale's language: Portuguese, else English."""
    return _PORTUGUESE if locale.lower().startswith(DEFAULT_LANGUAGE) else _ENGLISH


def named(words: Mapping[str, str], prefix: str, name: str) -> str:
    """The word for a code, or the code itself where none is known."""
    return words.get(f"{prefix}.{name}", name)
