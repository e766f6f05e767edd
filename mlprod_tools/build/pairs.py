"""Do the answers, the checks and the headlines of a lesson agree with each other and with the contract?"""

import ast
import re

from mlprod_tools.build.names import needs_and_bindings
from mlprod_tools.build.source import EXERCISE_ID
from mlprod_tools.build.stub import plainly_assigned

_HEADLINE = re.compile(r"^#+ Exercise (\d+\.\d+) · (.+?)\s*$")
_FACTS = re.compile(r"^\*(.*\d+ points?.*)\*\s*$")


def check_pairs(source, contract):
    """Report what does not fit together: answers, checks, headlines, contract."""
    seen = {}
    for cell in source.cells:
        if not cell.owner:
            continue
        if not EXERCISE_ID.match(cell.owner):
            source.report(cell.first - 1, f'"{cell.owner}" is not the id of an exercise, such as "2.3"', cell)
        elif cell.id in seen:
            what = "answers" if cell.exercise else "checks"
            source.report(
                cell.first - 1,
                f"two {what} have the id {cell.owner}; the first is in line {seen[cell.id]}",
                cell,
            )
        seen.setdefault(cell.id, cell.first - 1)
    answers = {cell.exercise: cell for cell in reversed(source.cells) if cell.exercise}
    checks = {cell.check: cell for cell in reversed(source.cells) if cell.check}
    for id, cell in checks.items():
        if id not in answers:
            source.report(
                cell.first - 1, f"a check without its exercise: no cell says `# %% exercise={id!r}`", cell
            )
        elif answers[id].first > cell.first:
            source.report(cell.first - 1, f"the check of {id} stands before its exercise", cell)
    for id, cell in answers.items():
        if id not in checks:
            source.report(
                cell.first - 1, f"an exercise without its check: no cell says `# %% check={id!r}`", cell
            )
        if id not in contract.exercises:
            known = ", ".join(contract.exercises) or "none"
            source.report(cell.first - 1, f"the contract has no exercise {id}; it has {known}", cell)
    for id in contract.exercises:
        if id not in answers:
            source.report(1, f"no cell has the answer of {id}, which the contract asks for")
    _check_calls(source, contract)
    _check_headlines(source, contract)


def check_answers(source, cell, regions, contract):
    """Report where an answer's cell does not define just what the contract names, inside its regions."""
    if not cell.exercise:
        if regions:
            message = "a region in a cell that is no exercise: write `# %% exercise=...`"
            source.report(cell.first + regions[0].begin - 1, message, cell)
        return
    exercise = contract.exercises.get(cell.exercise)
    if exercise is None:
        return
    made = set()
    for region in regions:
        names = [region.chain[0].name] if region.chain else plainly_assigned(region)
        made.update(names)
        if not set(names) & set(exercise.answers):
            what = f"`{names[0]}`" if region.chain else "what this region assigns"
            source.report(
                cell.first + region.begin - 1,
                f"the contract of {cell.exercise} does not name {what}; its answers are {', '.join(exercise.answers)}",
                cell,
            )
    _, bindings = needs_and_bindings(cell.tree)
    bound = {binding.name: binding.line for binding in bindings}
    for name in exercise.answers:
        if name in made:
            continue
        if name not in bound:
            source.report(
                cell.first,
                f"the contract of {cell.exercise} names `{name}`, which this cell does not define",
                cell,
            )
        elif any(bound[name] in region for region in regions):
            message = (
                f"the region does not plainly assign `{name}` (`{name} = ...` as a statement of its own)"
            )
            source.report(cell.first + bound[name] - 1, message, cell)
        else:
            message = f"`{name}` is defined outside of a region, so that learners would get it solved"
            source.report(cell.first + bound[name] - 1, message, cell)


def check_needs(source, regions, contract):
    """Report each cell that needs, or overwrites, a name which only an answer makes.

    `regions` maps the id of a cell to its regions.
    """
    owners = {}
    for exercise in contract.exercises.values():
        for name in exercise.answers:
            if name in owners:
                source.report(
                    1, f"the exercises {owners[name]} and {exercise.id} both call their answer `{name}`"
                )
            owners.setdefault(name, exercise.id)
    vanished, imported = {}, set()  # name -> exercise; imports outside of regions
    for cell in source.code_cells:
        needs, bindings = needs_and_bindings(cell.tree)

        def learners_have(line, cell=cell):
            return not any(line in region for region in regions.get(cell.id, ()) if region.function is None)

        inside = [item for item in bindings if not learners_have(item.line)]
        outside = [item for item in bindings if learners_have(item.line)]
        own = {item.name for item in inside if not (item.imported and item.imported in imported)}
        own -= {name for name, owner in owners.items() if owner == cell.owner}
        for need in needs:
            where = cell.first + need.line - 1
            if owners.get(need.name, cell.owner) != cell.owner:
                if not need.bound_at:
                    message = f"this needs `{need.name}`, the learner's answer to {owners[need.name]}"
                    source.report(where, message + ": make what you need in a cell of the lecture", cell)
            elif need.name in vanished and vanished[need.name] != cell.exercise and not need.bound_at:
                message = f"this needs `{need.name}`, which only the answer to {vanished[need.name]} makes"
                source.report(where, message + ": learners do not have it", cell)
            elif (
                need.name in own
                and learners_have(need.line)
                and not any(learners_have(line) for line in need.bound_at)
            ):
                message = (
                    f"this needs `{need.name}`, which stands between the markers: learners do not have it"
                )
                source.report(where, message, cell)
        for item in bindings:
            if owners.get(item.name, cell.owner) != cell.owner:
                message = f"this overwrites `{item.name}`, the learner's answer to {owners[item.name]}: use another name"
                source.report(cell.first + item.line - 1, message, cell)
        for item in outside:
            vanished.pop(item.name, None)
        imported.update(item.imported for item in outside if item.imported)
        vanished.update({name: cell.exercise for name in own - {item.name for item in outside}})


def _check_calls(source, contract):
    """`lesson.check("2.3")` stands in the check cell of 2.3 and nowhere else; the lesson calls itself by its own id."""
    made = False
    for cell in source.code_cells:
        called = set()
        for node in ast.walk(cell.tree):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            if name.split(".")[-1] == "Lesson":
                made = True
                if first != source.header.get("lesson", first):
                    message = f'this is lesson "{source.header["lesson"]}", not "{first}"'
                    source.report(cell.first + node.lineno - 1, message, cell)
                edition = next((word.value for word in node.keywords if word.arg == "edition"), None)
                if isinstance(edition, ast.Constant) and edition.value != contract.edition:
                    message = f"the contract is at edition {contract.edition}, not {edition.value}"
                    source.report(cell.first + node.lineno - 1, message, cell)
            elif name == "lesson.check":
                called.add(first)
                if first != cell.check:
                    message = f'lesson.check("{first}") belongs into a cell that says `# %% check="{first}"`'
                    source.report(cell.first + node.lineno - 1, message, cell)
        if cell.check and cell.check not in called:
            source.report(cell.first, f'this cell should call lesson.check("{cell.check}")', cell)
    if not made and any(cell.check for cell in source.cells):
        source.report(1, f'no cell makes the lesson: lesson = Lesson("{source.header.get("lesson", "")}")')


def _check_headlines(source, contract):
    """Each exercise is announced before its answer, with the title, points and minutes of the contract."""
    announced = {}
    for cell in source.cells:
        if cell.kind == "markdown":
            lines = cell.source.split("\n")
            for number, line in enumerate(lines):
                headline = _HEADLINE.match(line)
                if headline:
                    announced[headline[1]] = cell
                    _check_headline(
                        source, cell, number, lines, headline, contract.exercises.get(headline[1])
                    )
        elif cell.exercise in contract.exercises and cell.exercise not in announced:
            title = contract.exercises[cell.exercise].title
            message = f"no text before this answer has the headline `### Exercise {cell.exercise} · {title}`"
            source.report(cell.first - 1, message, cell)


def _check_headline(source, cell, number, lines, headline, exercise):
    if exercise is None:
        return
    if headline[2] != exercise.title:
        message = f"the headline of {exercise.id} says {headline[2]!r}, the contract {exercise.title!r}"
        source.report(cell.first + number, message, cell)
    for offset, line in enumerate(lines[number + 1 :], start=number + 1):
        if line.startswith("#"):
            return
        facts = _FACTS.match(line)
        if not facts:
            continue
        for what, right in (("point", exercise.points), ("minute", exercise.minutes)):
            said = re.search(rf"(\d+) {what}s?\b", facts[1])
            if said and int(said[1]) != right:
                message = f"the text of {exercise.id} says {said[0]}, the contract {right}"
                source.report(cell.first + offset, message, cell)
        return
