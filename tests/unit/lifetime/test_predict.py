"""The mean predicted value and its interval: what it covers, what it rests on, and when there is none."""

import subprocess
import sys

import numpy as np
import pytest

from batuta.kpis import reason_in
from batuta.lifetime import bg_nbd
from batuta.lifetime.bg_nbd import BgNbd, Purchases
from batuta.lifetime.gamma_gamma import GammaGamma
from batuta.lifetime.predict import Histories, Outlook, discounted_purchases, predict
from batuta.lifetime.reasons import IN_PORTUGUESE, NO_VALUE, TOO_FEW, TOO_FEW_VALUES
from tests.support.lifetimes import simulate

BUYING = BgNbd(0.5, 4.0, 0.8, 2.5)
SPENDING = GammaGamma(6.0, 4.0, 60.0)


@pytest.fixture(scope="module")
def customers() -> Histories:
    found, _ = simulate(BUYING, SPENDING, 1200, weeks=60, later=1, seed=5)
    return found


def part(histories: Histories, chosen: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Histories:
    return Histories(
        histories.frequency[chosen],
        histories.recency_days[chosen],
        histories.age_days[chosen],
        histories.monetary[chosen],
    )


def test_the_same_customers_give_the_same_figures_to_the_last_bit(customers: Histories) -> None:
    assert predict(customers, Outlook()) == predict(customers, Outlook())


def test_the_order_of_customers_does_not_matter(customers: Histories) -> None:
    other = np.random.default_rng(0).permutation(len(customers.frequency))
    shuffled = Histories(
        *(getattr(customers, name)[other] for name in ("frequency", "recency_days", "age_days", "monetary"))
    )
    here, there = predict(customers, Outlook()), predict(shuffled, Outlook())
    assert here.value is not None
    assert there.value == pytest.approx(here.value, rel=1e-6)
    assert there.low == pytest.approx(here.low, rel=1e-6)


def test_the_figures_scale_with_the_currency(customers: Histories) -> None:
    cents = Histories(
        customers.frequency, customers.recency_days, customers.age_days, customers.monetary * 100
    )
    here, there = predict(customers, Outlook()), predict(cents, Outlook())
    assert here.value is not None
    assert there.value == pytest.approx(here.value * 100, rel=1e-5)
    assert there.high == pytest.approx((here.high or 0) * 100, rel=1e-5)


def test_a_longer_horizon_brings_more_and_a_discount_less(customers: Histories) -> None:
    quarter, year, discounted = (
        predict(customers, outlook).value or 0 for outlook in (Outlook(90), Outlook(365), Outlook(365, 0.2))
    )
    assert 0 < quarter < discounted < year
    # No purchase is put off by more than the year.
    assert discounted > year / 1.2


def test_a_discount_takes_a_years_share_off_what_comes_in_a_years_time() -> None:
    # Rates are so even and leaving so rare that purchases come steadily: the mean factor is that of a steady stream.
    steady = BgNbd(4000.0, 4000.0, 0.001, 1000.0)
    one = Purchases(np.array([40.0]), np.array([40.0]), np.array([40.0]), np.ones(1))
    plain = discounted_purchases(steady, one, Outlook(364))
    (factor,) = discounted_purchases(steady, one, Outlook(364, 0.5)) / plain
    assert factor == pytest.approx(np.mean([1.5 ** -(week * 7 / 365) for week in range(4, 53, 4)]), rel=1e-4)
    assert plain == pytest.approx(bg_nbd.expected_purchases(steady, one, 52.0))


def test_the_interval_narrows_with_the_number_of_customers(customers: Histories) -> None:
    more, _ = simulate(BUYING, SPENDING, 4800, weeks=60, later=1, seed=6)
    few, many = predict(customers, Outlook()), predict(more, Outlook())

    def width(found: "object") -> float:
        return float(np.log(getattr(found, "high") / getattr(found, "low")))  # noqa: B009

    assert width(many) == pytest.approx(width(few) / 2, rel=0.35)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    # The mean of what all customers to come will spend, from one large simulation of another seed.
    _, spent = simulate(BUYING, SPENDING, 30_000, weeks=60, later=26, seed=1)
    truth = float(spent.mean())
    rounds, held = 40, 0
    for seed in range(100, 100 + rounds):
        histories, _ = simulate(BUYING, SPENDING, 800, weeks=60, later=0.1, seed=seed)
        found = predict(histories, Outlook(26 * 7))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    # 95 % of 40 are 38; fewer than 32 come once in ten thousand such trials.
    assert held >= 32


def test_with_fewer_than_two_hundred_who_came_back_there_is_no_value(customers: Histories) -> None:
    came_back = np.cumsum(customers.frequency > 0)
    enough = predict(part(customers, came_back <= 200), Outlook())
    short = predict(part(customers, came_back < 200), Outlook())
    assert enough.repeat_customers == 200
    assert enough.value is not None
    assert (short.value, short.low, short.high, short.reason) == (None, None, None, TOO_FEW)
    assert short.repeat_customers == 199


def test_customers_whose_goods_all_came_back_have_no_part_in_what_is_spent(customers: Histories) -> None:
    returned = np.where(np.cumsum(customers.monetary > 0) <= 20, 0.0, customers.monetary)
    some = predict(
        Histories(customers.frequency, customers.recency_days, customers.age_days, returned), Outlook()
    )
    nothing = Histories(
        customers.frequency, customers.recency_days, customers.age_days, np.zeros_like(customers.monetary)
    )
    repeating = int((customers.frequency > 0).sum())
    assert some.value is not None
    assert some.repeat_customers == repeating
    assert some.parameters["gamma_gamma"]["customers"] == repeating - 20
    assert predict(nothing, Outlook()).reason == TOO_FEW_VALUES


def test_where_everybody_spends_the_same_there_is_no_value_but_a_reason(customers: Histories) -> None:
    same = np.where(customers.monetary > 0, 25.0, 0.0)
    found = predict(
        Histories(customers.frequency, customers.recency_days, customers.age_days, same), Outlook()
    )
    assert (found.value, found.reason) == (None, NO_VALUE)
    assert "bg_nbd" in found.parameters


def test_no_customer_is_no_value_either() -> None:
    none = np.zeros(0)
    found = predict(Histories(none, none, none, none), Outlook())
    assert (found.customers, found.repeat_customers, found.reason) == (0, 0, TOO_FEW)


@pytest.mark.parametrize(("days", "rate"), [(0, 0.0), (-1, 0.0), (365, -0.1), (365, 10.0)])
def test_an_outlook_that_means_nothing_is_refused(days: int, rate: float) -> None:
    with pytest.raises(ValueError, match="horizon"):
        Outlook(days, rate)


def test_every_reason_is_told_in_both_languages() -> None:
    for reason, portuguese in IN_PORTUGUESE.items():
        assert reason_in(reason, "pt-BR") == portuguese != reason
        assert reason_in(reason, "en") == reason


def test_statistics_load_only_when_something_is_predicted() -> None:
    code = (
        "import sys, batuta, batuta.kpis, batuta.lifetime.store, batuta.analyst; "
        "print([m for m in ('scipy', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
