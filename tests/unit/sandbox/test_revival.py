"""When a program that died is started again."""

from nova_fakes.sandbox.revival import Revival


def test_what_dies_at_once_waits_ever_longer_and_is_given_up() -> None:
    revival = Revival(first_s=0.1, longest_s=0.5)
    assert [revival.pause_after(0.0) for _ in range(6)] == [0.1, 0.2, 0.4, 0.5, 0.5, None]
    assert revival.in_a_row == 6


def test_one_that_had_come_up_begins_at_the_beginning() -> None:
    revival = Revival(first_s=0.1, longest_s=5.0, steady_s=10.0, deaths=3)
    assert [revival.pause_after(lasted) for lasted in (0.0, 9.9)] == [0.1, 0.2]
    assert revival.in_a_row == 2
    assert revival.pause_after(10.0) == 0.1
    assert revival.pause_after(0.0) == 0.2
    assert revival.pause_after(0.0) is None


def test_without_a_limit_it_goes_on_for_ever() -> None:
    revival = Revival(longest_s=0.5, deaths=None)
    assert {revival.pause_after(0.0) for _ in range(2000)} == {0.5}
