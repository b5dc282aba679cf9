import pytest

from hubbub.model.rates.throttle import Throttle


def test_burst_is_free_and_then_each_act_waits_for_a_token() -> None:
    throttle = Throttle(rate=4, burst=3, now=100.0)
    assert [throttle.delay(100.0) for _ in range(3)] == [0, 0, 0]
    assert throttle.delay(100.0) == 0.25
    assert throttle.delay(100.125) == 0.125, "asking takes no token"
    assert throttle.delay(100.25) == 0
    assert throttle.delay(100.25) == 0.25


def test_bucket_holds_no_more_than_the_burst() -> None:
    throttle = Throttle(rate=1, burst=2, now=0.0)
    assert [throttle.delay(1e6) for _ in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("rate", [0.5, 16])
def test_long_run_is_the_rate(rate: float) -> None:
    throttle = Throttle(rate, burst=1, now=0.0)
    now = 0.0
    for _ in range(101):
        while wait := throttle.delay(now):
            now += wait
    assert now == pytest.approx(100 / rate)


def test_no_rate_is_no_limit() -> None:
    throttle = Throttle(rate=0, burst=1, now=0.0)
    assert not any(throttle.delay(0.0) for _ in range(1000))


def test_what_is_charged_is_owed_before_the_next_act() -> None:
    throttle = Throttle(10.0, 2.0, 0.0)
    assert throttle.charge(1.5, 0.0) == 0.0
    assert throttle.charge(1.5, 0.0) == pytest.approx(0.1)
    assert throttle.delay(0.1) > 0
    assert Throttle(0, 1.0, 0.0).charge(1e9, 0.0) == 0.0
