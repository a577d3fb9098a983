"""The model of fraud: every signal speaks up, labels move weights as far as they go, flags are counted honestly."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.fraud.signals import signals
from batuta_agents.echo.scoring import learn, measure, shipped_weights, signals_of

PRIOR = shipped_weights()
NAMES = st.sampled_from(sorted(PRIOR.signals))


def message(text: str, **columns: object) -> dict[str, object]:
    read = signals(text)
    return {
        "wording": read["wording"],
        "links": read["links"],
        "pix_keys": len(read["pix"]),
        "is_executable": read["executable"],
        "is_forwarded": False,
        "is_frequently_forwarded": False,
        "sender_messages": 5,
        "sender_frauds": 0,
        "media_frauds": 0,
        "link_frauds": 0,
        "pix_frauds": 0,
        "media_senders": 0,
        **columns,
    }


def score(text: str, **columns: object) -> float:
    return PRIOR.score(signals_of(message(text, **columns)))


@given(st.frozensets(NAMES), NAMES)
def test_a_signal_more_never_makes_a_message_look_safer(present: frozenset[str], one_more: str):
    assert PRIOR.score(present | {one_more}) >= PRIOR.score(present)


@pytest.mark.parametrize(
    "text",
    [
        "Oi mãe, troquei de número. Preciso pagar um boleto urgente, faz um pix: 529.982.247-25",
        "Itaú: sua conta será bloqueada. Acesse http://itau-seguro.com e confirme seus dados",
        "Aqui é do banco, central de segurança: me passa o código que chegou por SMS",
    ],
)
def test_well_known_swindles_stand_out_without_any_label(text: str):
    assert score(text, sender_messages=0) > 0.5


@pytest.mark.parametrize(
    "text",
    [
        "Bom dia! Meu pedido 1042 já saiu?",
        "Vocês aceitam pix?",
        "Oi, quero trocar o tamanho da camiseta, como faço?",
        "É urgente, preciso da caneca até sexta",
        "Segue o comprovante do pagamento de R$ 89,90",
        "Vi no site https://www.arcsat.com.br/canecas, tem azul?",
    ],
)
def test_customers_are_left_in_peace(text: str):
    assert score(text, sender_messages=0) < 0.3


def test_what_was_fraud_before_stands_out_whatever_it_says():
    assert score("olha isso", media_frauds=1, sender_messages=0) > 0.4
    assert score("olha isso", media_frauds=1, link_frauds=1) > 0.5


def test_without_labels_the_weights_are_ours_and_a_signal_nobody_labelled_keeps_its_own():
    assert learn([], PRIOR) == PRIOR
    learned = learn([(frozenset({"wording.prize"}), True)] * 20, PRIOR)
    assert learned.signals["wording.prize"] > PRIOR.signals["wording.prize"]
    assert learned.signals["file.program"] == PRIOR.signals["file.program"]


def test_labels_move_a_weight_the_way_they_speak():
    money = frozenset({"wording.money"})
    honest = learn([(money, False)] * 100, PRIOR)
    swindle = learn([(money, True)] * 100, PRIOR)
    assert honest.signals["wording.money"] < PRIOR.signals["wording.money"] < swindle.signals["wording.money"]
    assert honest.score(money) < 0.02
    assert swindle.score(money) > 0.8


@given(st.lists(st.tuples(st.frozensets(NAMES, max_size=6), st.booleans()), max_size=60))
def test_any_labels_can_be_learned_from(examples: list[tuple[frozenset[str], bool]]):
    learned = learn(examples, PRIOR)
    assert learned == learn(examples, PRIOR)
    assert 0 <= learned.score(frozenset(PRIOR.signals)) <= 1


def test_flags_are_counted_against_labels_given_later_only():
    sure, quiet = frozenset({"link.imitates", "wording.threat", "pix.frauds"}), frozenset[str]()
    found = measure([(sure, True)] * 8 + [(sure, False)] * 2 + [(quiet, True)] * 2, PRIOR, 0.5)
    assert (found.labelled, found.frauds, found.flagged) == (12, 10, 10)
    assert (found.precision, found.recall) == (Decimal("80.0"), Decimal("80.0"))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 80 < found.high


def test_nothing_flagged_has_no_precision():
    found = measure([(frozenset[str](), False)] * 5, PRIOR, 0.5)
    assert (found.precision, found.low, found.recall) == (None, None, None)


def test_labels_make_flags_better_where_a_company_is_unlike_our_judgement():
    """A shop whose customers speak of payment and urgency all day, and whose swindlers promise prizes."""
    chance = random.Random(11)
    customers = [(frozenset({"wording.money", "wording.urgency", "sender.first", "pix.key"}), False)] * 200
    swindlers = [(frozenset({"wording.prize", "link.shortener", "sender.first"}), True)] * 60
    labelled = customers + swindlers
    chance.shuffle(labelled)
    before = PRIOR.score(frozenset({"wording.prize", "link.shortener", "sender.first"}))
    found = measure(labelled, PRIOR, 0.5)
    assert before < 0.5
    assert found.precision is not None
    assert found.recall is not None
    assert found.precision >= 95
    assert found.recall >= 80
