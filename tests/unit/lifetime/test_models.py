"""BG/NBD and gamma-gamma: published figures, the likelihoods' slopes, and what must hold whatever the customers did."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, strategies
from scipy.special import hyp2f1

from batuta.lifetime import bg_nbd, gamma_gamma
from batuta.lifetime.bg_nbd import BgNbd, Purchases
from batuta.lifetime.gamma_gamma import GammaGamma
from batuta.lifetime.likelihood import Vector
from batuta.lifetime.predict import Histories
from tests.support.cdnow import TRAINING_END, read_purchases
from tests.support.lifetimes import simulate

CDNOW = BgNbd(0.2426, 4.4136, 0.7929, 2.4259)
CDNOW_SPENDING = GammaGamma(6.25, 3.744, 15.444)

positive = strategies.floats(0.05, 20.0)
models = strategies.builds(BgNbd, positive, positive, positive, positive)
spendings = strategies.builds(GammaGamma, positive, strategies.floats(1.1, 20.0), positive)


@strategies.composite
def purchases(draw: strategies.DrawFn) -> Purchases:
    """Customers as they can be: who never came back has no recency, nobody's last purchase is after the end."""
    size = draw(strategies.integers(1, 8))
    frequency = draw(strategies.lists(strategies.integers(0, 60), min_size=size, max_size=size))
    age = draw(strategies.lists(strategies.floats(0.2, 300.0), min_size=size, max_size=size))
    share = draw(strategies.lists(strategies.floats(0.01, 1.0), min_size=size, max_size=size))
    recency = [a * s if x else 0.0 for x, a, s in zip(frequency, age, share, strict=True)]
    return Purchases(np.array(frequency, float), np.array(recency), np.array(age), np.ones(size))


def one(frequency: float, recency: float, age: float) -> Purchases:
    return Purchases(np.array([frequency]), np.array([recency]), np.array([age]), np.ones(1))


@pytest.fixture(scope="module")
def shop() -> Histories:
    """The training period of the CDNOW sample, one purchase per day."""
    days: dict[int, dict[int, float]] = defaultdict(dict)
    for purchase in read_purchases():
        day = np.datetime64(purchase.day).astype(int)
        if day <= np.datetime64(TRAINING_END).astype(int):
            spent = days[purchase.customer]
            spent[int(day)] = spent.get(int(day), 0.0) + float(purchase.dollars)
    end = int(np.datetime64(TRAINING_END).astype(int))
    rows: list[tuple[float, float, float, float]] = []
    for spent in days.values():
        first, *later = sorted(spent)
        monetary = float(np.mean([spent[day] for day in later])) if later else 0.0
        rows.append((len(later), (later[-1] - first) if later else 0, end - first, monetary))
    return Histories(*np.array(rows, dtype=np.float64).T)


def weekly(histories: Histories) -> Purchases:
    return Purchases(
        histories.frequency,
        histories.recency_days / 7,
        histories.age_days / 7,
        np.ones(len(histories.frequency)),
    )


def test_the_published_parameters_of_bg_nbd_are_found(shop: Histories) -> None:
    found = bg_nbd.fit(weekly(shop))
    assert found is not None
    assert [round(float(value), 4) for value in found.parameters] == [0.2426, 4.4136, 0.7929, 2.4259]
    assert round(found.log_likelihood, 1) == -9582.4


def test_the_published_parameters_of_gamma_gamma_are_found(shop: Histories) -> None:
    repeating = shop.frequency > 0
    found = gamma_gamma.fit(shop.frequency[repeating], shop.monetary[repeating])
    assert found is not None
    p, q, v = map(float, found.parameters)
    assert (round(p, 2), round(q, 2), round(v, 2)) == (6.25, 3.74, 15.44)


def test_the_published_expectation_of_a_customer_is_found() -> None:
    # Customer 1 of the sample in the note that comes with the paper: 1.2260 in the 39 weeks that follow.
    (expected,) = bg_nbd.expected_purchases(CDNOW, one(2, 30.43, 38.86), 39)
    assert round(float(expected), 3) == 1.226


@given(models, purchases())
def test_the_slope_of_bg_nbd_is_that_of_its_likelihood(model: BgNbd, found: Purchases) -> None:
    place = np.log([model.r, model.alpha, model.a, model.b])
    slopes = bg_nbd.scores(model, found)
    for index, unit in enumerate(np.eye(4)):
        ahead = bg_nbd.log_likelihoods(BgNbd(*np.exp(place + 1e-5 * unit)), found)
        behind = bg_nbd.log_likelihoods(BgNbd(*np.exp(place - 1e-5 * unit)), found)
        np.testing.assert_allclose(slopes[:, index], (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-4)


@given(
    spendings,
    strategies.lists(strategies.tuples(strategies.integers(1, 50), strategies.floats(0.1, 500)), min_size=1),
)
def test_the_slope_of_gamma_gamma_is_that_of_its_likelihood(
    model: GammaGamma, found: list[tuple[int, float]]
) -> None:
    frequency, monetary = np.array(found, dtype=np.float64).T
    place = np.log([model.p, model.q, model.v])
    slopes = gamma_gamma.scores(model, frequency, monetary)
    for index, unit in enumerate(np.eye(3)):
        ahead = gamma_gamma.log_likelihoods(GammaGamma(*np.exp(place + 1e-5 * unit)), frequency, monetary)
        behind = gamma_gamma.log_likelihoods(GammaGamma(*np.exp(place - 1e-5 * unit)), frequency, monetary)
        np.testing.assert_allclose(slopes[:, index], (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-3)


@given(models, purchases())
def test_whether_a_customer_is_still_there_is_a_probability(model: BgNbd, found: Purchases) -> None:
    alive = bg_nbd.probability_alive(model, found)
    assert ((alive >= 0) & (alive <= 1)).all()
    assert (alive[found.frequency == 0] == 1).all()


@given(models, purchases(), strategies.floats(0.1, 100.0), strategies.floats(0.1, 100.0))
def test_a_longer_horizon_brings_more_purchases_and_never_more_than_the_rate_allows(
    model: BgNbd, found: Purchases, horizon: float, more: float
) -> None:
    near = bg_nbd.expected_purchases(model, found, horizon)
    far = bg_nbd.expected_purchases(model, found, horizon + more)
    assert (near >= 0).all()
    assert (far >= near - 1e-9 * (1 + near)).all()
    # Nobody who is sure to stay would buy more than their expected rate times the time.
    rate = (model.r + found.frequency) / (model.alpha + found.age)
    assert (near <= rate * horizon * (1 + 1e-6) + 1e-9).all()


@given(strategies.floats(0.1, 0.9), strategies.floats(0.5, 5.0), strategies.integers(0, 12))
def test_the_formula_is_the_papers(a: float, b: float, frequency: int) -> None:
    r, alpha, age, horizon = 0.4, 5.0, 40.0, 26.0
    recency = 30.0 if frequency else 0.0
    x = float(frequency)
    if abs(a + b + x - 1) < 1e-3:
        return
    z = horizon / (alpha + age + horizon)
    shrinking = ((alpha + age) / (alpha + age + horizon)) ** (r + x)
    above = (a + b + x - 1) / (a - 1) * (1 - shrinking * hyp2f1(r + x, b + x, a + b + x - 1, z))
    below = 1 + (a / (b + x - 1) * ((alpha + age) / (alpha + recency)) ** (r + x) if x else 0)
    (found,) = bg_nbd.expected_purchases(BgNbd(r, alpha, a, b), one(x, recency, age), horizon)
    assert found == pytest.approx(above / below, rel=1e-6)


@given(purchases(), strategies.floats(0.05, 5.0))
def test_where_the_papers_formula_is_nothing_by_nothing_there_is_a_value(found: Purchases, b: float) -> None:
    at, beside = (bg_nbd.expected_purchases(BgNbd(0.5, 5.0, a, b), found, 52.0) for a in (1.0, 1.0 + 1e-7))
    np.testing.assert_allclose(at, beside, rtol=1e-5)
    same = bg_nbd.expected_purchases(BgNbd(0.5, 5.0, 0.4, 0.6), found, 52.0)
    assert np.isfinite(same).all()


@given(purchases(), strategies.floats(0.05, 0.95))
def test_customers_who_all_leave_with_one_chance_have_the_expectation_of_that_chance(
    found: Purchases, chance: float
) -> None:
    alike = BgNbd(0.5, 5.0, 1e6 * chance, 1e6 * (1 - chance))
    grown = 1 + chance * 26.0 / (5.0 + found.age)
    while_alive = (1 - grown ** -(0.5 + found.frequency)) / chance
    expected = while_alive * bg_nbd.probability_alive(alike, found)
    np.testing.assert_allclose(bg_nbd.expected_purchases(alike, found, 26.0), expected, rtol=1e-3)


@given(spendings, strategies.floats(0.001, 1000.0), strategies.integers(0, 50), strategies.floats(0.1, 500))
def test_what_is_expected_of_a_customer_scales_with_the_currency(
    model: GammaGamma, scale: float, frequency: int, monetary: float
) -> None:
    x, m = np.array([float(frequency)]), np.array([monetary])
    (expected,) = gamma_gamma.expected_value(model, x, m)
    scaled = GammaGamma(model.p, model.q, model.v * scale)
    (in_other,) = gamma_gamma.expected_value(scaled, x, m * scale)
    assert in_other == pytest.approx(expected * scale, rel=1e-9)


@given(spendings, strategies.integers(1, 50), strategies.floats(0.1, 500))
def test_what_is_expected_lies_between_the_customers_mean_and_everybodys(
    model: GammaGamma, frequency: int, monetary: float
) -> None:
    everybody = model.p * model.v / (model.q - 1)
    (expected,) = gamma_gamma.expected_value(model, np.array([float(frequency)]), np.array([monetary]))
    low, high = sorted((everybody, monetary))
    assert low * (1 - 1e-9) <= expected <= high * (1 + 1e-9)


@pytest.mark.parametrize("scale", [0.01, 1.0, 1e6])
def test_the_fitted_spending_is_the_same_in_every_currency(scale: float) -> None:
    histories, _ = simulate(CDNOW, CDNOW_SPENDING, 1500, weeks=60, later=1, seed=3)
    repeating = histories.monetary > 0
    x, m = histories.frequency[repeating], histories.monetary[repeating]
    plain, scaled = gamma_gamma.fit(x, m), gamma_gamma.fit(x, m * scale)
    assert plain is not None
    assert scaled is not None
    np.testing.assert_allclose(scaled.parameters, plain.parameters * (1, 1, scale), rtol=1e-5)


def test_parameters_that_customers_were_made_with_are_found_again() -> None:
    buying, spending = BgNbd(0.6, 6.0, 0.8, 2.5), GammaGamma(5.0, 4.0, 120.0)
    histories, _ = simulate(buying, spending, 6000, weeks=78, later=1, seed=11)
    repeating = histories.monetary > 0
    rates = bg_nbd.fit(weekly(histories))
    worths = gamma_gamma.fit(histories.frequency[repeating], histories.monetary[repeating])
    assert rates is not None
    assert worths is not None
    assert within(rates.logarithms, np.log([0.6, 6.0, 0.8, 2.5]), rates.information)
    assert within(worths.logarithms, np.log([5.0, 4.0, 120.0]), worths.information)


def within(found: Vector, truth: Vector, information: Vector) -> bool:
    """Whether estimates lie where estimates of that precision lie but once in ten thousand."""
    return bool((np.abs(found - truth) <= 4 * np.sqrt(np.diag(np.linalg.inv(information)))).all())


def test_spending_that_does_not_vary_fits_no_model() -> None:
    frequency = np.array([1.0, 2.0, 3.0] * 100)
    assert gamma_gamma.fit(frequency, np.full(300, 25.0)) is None


def test_customers_who_were_all_won_on_the_last_day_fit_no_model() -> None:
    nothing = np.zeros(300)
    assert bg_nbd.fit(Purchases(nothing, nothing, nothing, np.ones(300))) is None
