import numpy as np
import pytest

from service.errors import SettingInvalid
from trainer.measures.decisions import f1
from trainer.measures.events import FloatArray
from trainer.measures.ranking import oracle_f1
from trainer.spot import spot
from trainer.thresholds import (
    BUFFER,
    Choice,
    best_f1,
    decide,
    epsilon,
    parse_choice,
    pot,
    quantile,
)

EVERY = ("pot", "spot", "dspot", "quantile", "epsilon", "fixed", "best-f1")


def calm(count: int = 20_000, *, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).exponential(size=count)


# ---- what is asked for


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("pot", Choice("pot", 1e-3)),
        ("spot:1e-4", Choice("spot", 1e-4)),
        ("quantile", Choice("quantile", 0.01)),
        ("fixed:1.5", Choice("fixed", 1.5)),
        ("epsilon", Choice("epsilon")),
        ("best-f1", Choice("best-f1")),
    ],
)
def test_a_choice_is_a_name_and_a_number(text: str, choice: Choice) -> None:
    assert parse_choice(text) == choice
    assert parse_choice(str(choice)) == choice


@pytest.mark.parametrize("text", ["", "otsu", "pot:x", "quantile:2", "pot:0", "epsilon:3", "pot:"])
def test_what_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises(SettingInvalid, match="expected a threshold of pot, spot"):
        parse_choice(text)


# ---- each method


def test_pot_and_quantile_are_exceeded_as_often_as_asked() -> None:
    unseen = calm(200_000, seed=1)
    assert (unseen > pot(calm(), 1e-3)).mean() == pytest.approx(1e-3, rel=0.4)
    assert (unseen > quantile(calm(), 0.01)).mean() == pytest.approx(0.01, rel=0.1)


def test_epsilon_lies_between_the_calm_and_the_rare() -> None:
    scores = calm(2000) / 10.0
    scores[[300, 1500]] = 30.0
    assert scores[scores < 30].max() < epsilon(scores) <= 30.0


def test_epsilon_takes_the_highest_score_where_nothing_stands_out() -> None:
    assert epsilon(np.full(100, 2.0)) == 2.0
    few = calm(BUFFER)  # a buffer covers half of them
    assert epsilon(few) == few.max()


def test_the_oracle_has_the_best_f1_there_is() -> None:
    random = np.random.default_rng(2)
    label = random.random(500) < 0.1
    scores = np.round(random.normal(size=500) + label, 1)  # with ties
    threshold = best_f1(label, scores)
    assert f1(label, scores >= threshold) == pytest.approx(oracle_f1(label, scores))


@pytest.mark.parametrize("is_drifting", [False, True])
def test_spot_keeps_its_rate_on_a_stream(is_drifting: bool) -> None:
    _, flags = spot(calm(5000), calm(60_000, seed=4), 1e-3, is_drifting=is_drifting)
    assert 0.4e-3 < flags.mean() < 2e-3


def test_spot_learns_from_the_past_alone() -> None:
    stream = calm(4000, seed=4)
    changed = stream.copy()
    changed[2000:] *= 50.0
    for is_drifting in (False, True):
        (levels, flags), (others, marks) = (
            spot(calm(3000), one, 1e-2, is_drifting=is_drifting) for one in (stream, changed)
        )
        assert levels[:2001].tolist() == others[:2001].tolist()
        assert flags[:2000].tolist() == marks[:2000].tolist()


def test_a_long_alarm_teaches_spot_its_first_point_only() -> None:
    stream = np.concatenate([calm(500, seed=5), np.full(2000, 100.0)])
    levels, flags = spot(calm(3000), stream, 1e-3)
    assert flags[500:].all()
    assert levels[-1] < 20.0


def test_only_dspot_follows_a_drift() -> None:
    count = 8000
    stream = calm(count, seed=6) + np.linspace(0.0, 30.0, count)
    rates = [
        spot(calm(5000), stream, 1e-3, is_drifting=is_drifting)[1].mean()
        for is_drifting in (False, True)
    ]
    assert rates[1] < 2e-3
    assert rates[0] > 8 * rates[1]


# ---- side by side


def test_labels_change_nothing_but_the_oracle() -> None:
    scores = calm(400, seed=8)
    label = np.arange(400) > 350
    for name in EVERY:
        first, second = (
            decide(parse_choice(name), calm(1000), scores, label=one) for one in (label, ~label)
        )
        assert first is not None
        assert second is not None
        same = first.threshold == second.threshold and bool((first.flags == second.flags).all())
        assert same == (name != "best-f1"), name


def test_what_a_method_needs_and_does_not_have_leaves_it_out() -> None:
    scores = calm(50)
    needing = {name for name in EVERY if decide(parse_choice(name), scores[:0], scores, label=None)}
    assert needing == {"fixed"}
    assert decide(parse_choice("best-f1"), scores, scores, label=np.zeros(50, np.bool_)) is None
    assert decide(parse_choice("spot"), scores, scores[:0], label=None) is None
