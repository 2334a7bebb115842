"""Distributions of delays: their sequences follow from the seed, their text can be read back."""

import threading
from random import Random
from statistics import fmean, median, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.delays import Constant, LogNormal, Normal, Uniform, parse
from nova_fakes.exceptions import InvalidInput


def drawn(delay, seed=1, count=4000):
    chance = Random(seed)
    return [delay.draw(chance) for _ in range(count)]


@pytest.mark.parametrize("delay", [Constant(0.5), Uniform(0.1, 0.5), Normal(1, 0.2), LogNormal(1.5, 0.5)])
def test_the_seed_decides_and_the_text_can_be_read_back(delay):
    assert drawn(delay) == drawn(delay)
    assert (drawn(delay) == drawn(delay, seed=2)) is isinstance(delay, Constant)
    assert min(drawn(delay)) >= 0
    assert parse(str(delay)) == delay


def test_shapes():
    assert set(drawn(Constant(3))) == {3}
    uniform = drawn(Uniform(1, 3))
    assert 1 <= min(uniform) < 1.01 < 2.99 < max(uniform) <= 3
    normal = drawn(Normal(10, 2))
    assert fmean(normal) == pytest.approx(10, abs=0.2)
    assert stdev(normal) == pytest.approx(2, abs=0.1)
    lognormal = drawn(LogNormal(10, 0.5))
    assert median(lognormal) == pytest.approx(10, abs=0.5)
    assert 0.04 < sum(delay_s > 23 for delay_s in lognormal) / len(lognormal) < 0.06


def test_what_would_be_negative_is_no_delay():
    found = drawn(Normal(0.1, 1))
    assert min(found) == 0
    assert 0.4 < found.count(0) / len(found) < 0.5


seconds = st.floats(0, 1e9)
delays = st.one_of(
    st.builds(Constant, seconds),
    st.tuples(seconds, seconds).map(lambda pair: Uniform(*sorted(pair))),
    st.builds(Normal, seconds, seconds),
    st.builds(LogNormal, st.floats(1e-9, 1e9), st.floats(0, 10)),
)


@given(delays, st.integers(0))
def test_whatever_the_numbers_a_clock_can_let_it_pass(delay, seed):
    assert all(0 <= delay_s < threading.TIMEOUT_MAX for delay_s in drawn(delay, seed, 50))
    assert parse(str(delay)) == delay


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        (2, Constant(2)),
        ("0.5", Constant(0.5)),
        ("uniform:0.1,0.5", Uniform(0.1, 0.5)),
        ("normal: 1, 0.2", Normal(1, 0.2)),
        ("lognormal:1,0", LogNormal(1, 0)),
    ],
)
def test_texts(text, delay):
    assert parse(text) == delay


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("soon", "'soon'.*write seconds, as 0.5, or uniform:LOW,HIGH"),
        ("", "write seconds"),
        ("uniform:1", "write seconds"),
        ("uniform:1,2,3", "write seconds"),
        ("uniform 1,2", "write seconds"),
        ("gamma:1,2", "write seconds"),
        ("-1", "seconds is -1.0: give a number from 0 to 1000000000"),
        ("nan", "seconds is nan"),
        (float("inf"), "seconds is inf"),
        ("uniform:2,1", "high_s is 1.0: give 2"),
        ("normal:1,-1", "deviation_s is -1.0"),
        ("lognormal:1,11", "sigma is 11.0: give at most 10"),
        ("lognormal:0,1", "median_s is 0.0: give seconds above 0"),
    ],
)
def test_what_is_no_delay_is_refused(text, told):
    with pytest.raises(InvalidInput, match=rf"delay: .*{told}"):
        parse(text)
