"""What was drawn for one answer is kept for the next, and nothing else changes."""

import numpy as np

from mlprod_helpers.lesson.kept import drawn_once


def test_a_draw_from_the_same_state_is_the_same_object_and_the_generator_goes_on_as_without_it():
    calls = []

    def dice(rng, n):
        calls.append(n)
        return rng.integers(1, 7, n).tolist()

    kept = drawn_once()(dice)
    plain, first, second = (np.random.default_rng(3) for _ in range(3))
    for n in (4, 4, 2):
        want, one, other = dice(plain, n), kept(first, n), kept(second, n)
        assert one is other and one == want
    assert plain.random() == first.random() == second.random()
    assert len(calls) == 6


def test_other_arguments_and_another_state_are_drawn_anew_and_the_oldest_is_forgotten():
    calls = []

    @drawn_once(2)
    def draw(rng, name):
        calls.append(name)
        return rng.random()

    for name in ("a", "b", "a", "c", "a"):
        draw(np.random.default_rng(0), name)
    assert calls == ["a", "b", "c", "a"]
    assert draw(np.random.default_rng(1), "a") != draw(np.random.default_rng(0), "a")
