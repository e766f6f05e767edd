"""The cockpit of a season: what it says, what its choices do, and its figures."""

import ipywidgets
import pandas as pd
import pytest

from mlprod_helpers.explore import on_call_cockpit
from mlprod_helpers.oncall import ACTIONS, Season, read
from mlprod_helpers.oncall.pictures import cost_picture, in_unit, most_moved, moved_picture, season_picture


def buttons(cockpit):
    """description -> Button of everything that can be pressed."""

    def below(widget):
        for child in getattr(widget, "children", ()):
            yield child
            yield from below(child)

    return {w.description: w for w in below(cockpit.widget) if isinstance(w, ipywidgets.Button)}


def test_a_morning_is_told_in_words():
    cockpit = on_call_cockpit(Season(3)).wait()
    told = str(cockpit)
    for heading in ("day:", "yesterday:", "so far:", "alerts:", "news:", "settings:"):
        assert f"\n{heading}" in f"\n{told}"
    assert repr(cockpit).endswith(repr(cockpit.figure))
    assert f"Day {cockpit.season.day}:" in cockpit.figure.alt


def test_waiting_ends_at_something_new_or_after_the_most_days():
    season, cockpit = Season(3), on_call_cockpit(Season(3))
    cockpit.wait()
    while True:
        seen = season.step()
        if season.day == cockpit.season.day:
            break
        assert not seen["alerts"], "it should have stopped here"
    assert seen["alerts"] or seen["candidates"] or seen["messages"] or seen["deploys"] or seen["calendar"]
    assert on_call_cockpit(Season(3)).wait(most=1).season.day == 1


def test_buttons_play_the_same_season_as_calls():
    by_hand, by_call = on_call_cockpit(Season(5)), on_call_cockpit(Season(5))
    press = buttons(by_hand)
    press["Call staffing"].click()
    press["Do without wind"].click()
    press["Call data"].click()
    press["Call data"].click()  # taken off again
    assert by_hand.chosen == [{"do": "page", "team": "staffing"}, {"do": "roll_back", "what": "wind"}]
    assert press["Call staffing"].button_style == "info" and press["Call data"].button_style == ""
    press["Next morning"].click()
    by_call.step([{"do": "page", "team": "staffing"}, {"do": "roll_back", "what": "wind"}])
    assert str(by_hand) == str(by_call) and by_hand.chosen == []
    assert "Use wind again" in buttons(by_hand) and "Do without wind" not in buttons(by_hand)
    assert "staffing: nothing is wrong here" in str(by_hand)


def test_every_choice_is_an_action_that_can_be_carried_out():
    seen, cockpit = set(), on_call_cockpit(Season(3))
    cockpit.step([{"do": "roll_back", "what": "wind"}, {"do": "retrain"}])
    for first in ("pause", "resume", "abort"):
        while not cockpit.season.morning["candidates"]:
            cockpit.season.step()
        for group in cockpit.choices().values():
            for action in group.values():
                assert read(action)[1] == []
                seen.add(action["do"])
        if first == "pause":
            cockpit.step([{"do": "start", "version": cockpit.season.morning["candidates"][0]["version"]}])
        else:
            cockpit.step([{"do": {"resume": "pause", "abort": "resume"}[first]}])
    assert seen == set(ACTIONS) - {"nothing", "gate", "threshold"}  # these need numbers: by calls only


def test_new_destinations_are_offered_by_name():
    cockpit = on_call_cockpit(Season(3))
    assert all("always" not in action for action in cockpit.choices()["Who predicts"].values())
    cockpit.season.morning["log"]["dest"][:2] = "XYZ"
    cockpit.season.morning["metrics"]["new_route_share"] = 0.2
    assert cockpit.choices()["Who predicts"]["People predict XYZ"]["always"] == ["XYZ"]


def test_at_the_end_the_season_is_shown_and_nothing_can_be_pressed():
    season = Season(1)
    while season.day < 69:
        season.step()
    cockpit = on_call_cockpit(season).wait()
    assert set(buttons(cockpit)) == {"Next morning", "Until something happens"}
    assert all(button.disabled for button in buttons(cockpit).values())
    assert "Dollars of each of the 70 days" in cockpit.figure.alt
    with pytest.raises(ValueError, match="season is over"):
        cockpit.step()


def test_without_a_kernel_there_are_words_and_picture():
    shown = on_call_cockpit(Season(2))._repr_mimebundle_()
    assert "<img alt=" in shown["text/html"] and ".wait()" in shown["text/html"]
    assert shown["text/plain"].startswith("day: 0 of 70")


# --- figures ------------------------------------------------------------------------------------------------------------


def test_the_metrics_that_moved_most_come_first():
    season = Season(3)
    while season.day < 20:
        season.step()
    moved = most_moved(season.morning, most=50)
    distances = [distance for _, distance in moved]
    assert distances == sorted(distances, reverse=True)
    firing = {alert["metric"] for alert in season.morning["alerts"]}
    assert firing <= {name for name, distance in moved if distance > 1}
    assert all(
        in_unit(name, season.morning["metrics"][name]) in moved_picture(season.morning).alt
        for name, _ in moved[:4]
    )


def test_figures_say_what_the_season_cost():
    season = Season(4)
    season.play(lambda observation, memory: ([], memory))
    report = season.report()
    assert f"{report.cost:,.0f} in all" in season_picture(report).alt
    costs = pd.DataFrame([report.by_cause, report.by_cause], index=["one", "two"])
    assert cost_picture(costs).alt.count(f"{report.cost:,.0f} in all") == 2
    assert report.plot().png == season_picture(report).png


def test_a_post_mortem_never_replaces_what_somebody_wrote(tmp_path):
    season = Season(4)
    season.play(lambda observation, memory: ([], memory))
    path = season.report().save_post_mortem(tmp_path / "mine.md")
    assert path.read_text() == season.report().post_mortem()
    path.write_text("edited")
    with pytest.raises(FileExistsError, match="another name"):
        season.report().save_post_mortem(path)
    assert path.read_text() == "edited"
