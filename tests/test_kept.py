"""What was drawn or played for one answer is kept for the next, and nothing else changes."""

import numpy as np

from mlprod_helpers.lesson.kept import drawn_once, played_once


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


def game(days, played):
    """A game whose next observation depends on what was done: the stock of a shop that sells three a day."""

    def play(policy, start):
        played.append(start)
        stock, memory, bought = start, {"begun": True}, 0
        for day in range(days):
            action, memory = policy({"day": day, "stock": stock}, memory)
            stock, bought = max(stock + action - 3, 0), bought + action
        return bought, stock

    return play


def three_a_day(observation, memory):
    assert memory["begun"]
    return 3, memory


def refills(observation, memory):
    return (3 if observation["day"] < 5 or observation["stock"] < 2 else 0), {**memory, "also": 1}


def test_a_policy_that_acts_alike_gets_the_result_and_one_that_does_not_is_played():
    played = []
    play = played_once()(game(8, played))
    wanted = game(8, [])
    for policy, start in ((three_a_day, 7), (three_a_day, 7), (refills, 7), (refills, 0), (three_a_day, 0)):
        assert play(policy, start) == wanted(policy, start)
    assert played == [7, 7, 0]  # with an empty shop both always buy three


def test_a_policy_that_changes_what_it_is_shown_does_not_change_the_game():
    play = played_once()(game(5, []))

    def vandal(observation, memory):
        observation.clear()
        return 3, memory

    assert play(vandal, 4) == play(three_a_day, 4) == game(5, [])(three_a_day, 4)


def test_only_the_last_games_are_kept():
    played = []
    play = played_once(2)(game(3, played))
    for start in (1, 2, 3, 1):
        play(three_a_day, start)
    assert played == [1, 2, 3, 1]
