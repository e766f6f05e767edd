"""A blameless post-mortem of a season, as Markdown that somebody edits."""

from __future__ import annotations

_TODO = "*(for you to write)*"


def post_mortem(report):
    """The post-mortem of the most expensive incident of a `Report`; facts are filled in, judgment is left to you.

    Follows the template of Site Reliability Engineering, appendix D: summary, impact, root causes, trigger, detection,
    lessons, timeline, action items.
    """
    if not report.incidents:
        return "# Post-mortem\n\nNothing has happened so far.\n"
    worst = max(report.incidents, key=lambda one: one["cost"])
    lesson = next(one for one in report.debrief if one["title"] == worst["title"])
    place = f" at {worst['origin']}" if worst["origin"] else ""
    lines = [
        f"# Post-mortem: {worst['title']}{place}",
        "",
        f"Season {report.random_state}, days {worst['start']} to {worst['ended']} from {report.first_date}. "
        "This text looks for causes in the system, not for somebody to blame.",
        "",
        "## Summary",
        _TODO,
        "",
        "## Impact",
        f"About {worst['cost']:,.0f} dollars, of {report.cost:,.0f} that the whole season cost.",
        "",
        "## Detection",
        _detection(worst, lesson),
        "",
        "## What could have been seen",
        lesson["seen"],
        "",
        "## What helps",
        lesson["help"],
        "",
        "## Timeline",
        *_timeline(report, worst),
        "",
        "## Root cause and trigger",
        _TODO,
        "",
        "## What went well, what went badly, where we were lucky",
        _TODO,
        "",
        "## Action items",
        f"- [ ] The alarm that was missing: {_TODO}",
        f"- [ ] What makes it impossible, or cheap: {_TODO}",
        "",
        "## The rest of the season",
        *(_line(one) for one in report.incidents if one is not worst),
    ]
    return "\n".join(lines) + "\n"


def _detection(worst, lesson):
    could = (
        ""
        if lesson["visible"] is None
        else f" The metric left its usual range on the morning of day {lesson['visible']}."
    )
    if worst["noticed"] is None:
        return f"No alert on {lesson['metric']} came.{could}"
    after = worst["noticed"] - worst["start"]
    return f"The alert on {lesson['metric']} came {after} day{'s' * (after != 1)} after the onset.{could}"


def _timeline(report, worst):
    return [
        f"- Day {one['day']}: {one['what']}: {one['text']}"
        for one in report.timeline
        if worst["start"] - 1 <= one["day"] <= worst["ended"] + 2
    ]


def _line(one):
    answered = "nothing was done" if one["answered"] is None else f"answered on day {one['answered']}"
    return f"- Day {one['start']}: {one['title']}; {answered}; about {one['cost']:,.0f} dollars."
