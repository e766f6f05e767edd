"""The notebooks in which learners take the test: texts and options, and nothing that says which option is right."""

import json

from nbformat.v4 import new_code_cell, new_markdown_cell

from mlprod_helpers.lesson.ten_cases import COUNT, TEXTS, WHEN
from mlprod_tools.build.notebook import empty, to_text, write_text
from mlprod_tools.evidence.cases import CASES, EDITION, FORMS, options

MINUTES = 15


def forms():
    """What stands beside the notebooks: "edition", and the ten texts of "A" and "B" with their options."""
    return {"edition": EDITION} | {
        form: [
            {
                "text": case.version(form).text,
                "options": {letter: text for letter, (text, _) in options(number, form).items()},
            }
            for number, case in enumerate(CASES, 1)
        ]
        for form in FORMS
    }


def write(folder, shared):
    """Write both notebooks and their texts into a folder.

    Parameters
    ----------
    folder : Path
    shared : str
        The folder into which learners share, "." for that of the notebook.

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If one of them is there already: somebody may have begun to work in it.
    """
    paths = {when: folder / f"ten_cases_{when}.ipynb" for when in WHEN}
    for path in paths.values():
        if path.exists():
            raise ValueError(f"{path} exists already; name another folder, or delete it")
    for when, path in paths.items():
        write_text(path, to_text(notebook(when, shared)))
    texts = folder / TEXTS
    write_text(texts, json.dumps(forms(), indent=1, ensure_ascii=False) + "\n")
    return [*paths.values(), texts]


def notebook(when, shared):
    """One of the two notebooks.

    Parameters
    ----------
    when : str
        "before" or "after".
    shared : str
        The folder into which learners share.

    Returns
    -------
    NotebookNode
    """
    made = empty({"ten_cases": when, "edition": EDITION})
    begin = f'from mlprod_helpers.lesson.ten_cases import TenCases\n\ncases = TenCases("{when}")\ncases.share({json.dumps(shared)}, alias=...)'
    cells = [
        new_markdown_cell(_INTRODUCTION[when], id="introduction"),
        new_code_cell(begin, id="alias"),
        *(
            new_code_cell(f"cases.case({number}, ...)", id=f"case-{number:02d}")
            for number in range(1, COUNT + 1)
        ),
        new_markdown_cell(_END, id="end"),
        new_code_cell("cases.hand_in()", id="hand-in"),
    ]
    made.cells.extend(cells)
    return made


_HOW = f"""You have about {MINUTES} minutes. For each case, choose one option. If you don't know, choose `"?"`: that is no
fault, and more useful than a guess. You may calculate, but please work alone and look nothing up. Nothing here tells you whether
you are right. Your name is not recorded, only an alias and ten letters.

1. In the next cell, put an alias in quotes in place of `...`, such as `"blue_otter"`. Choose anything but your name.
2. Choose *Run*, *Run All Cells*. You now see ten cases.
3. In the cell above each case, put a letter in place of `...`, such as `"b"`, and run the cell.
4. Run the last cell to hand in."""
_INTRODUCTION = {
    "before": f"""# Ten cases, before the course

They show your instructor what the class knows already. After the course you get ten cases of the same kind.

{_HOW}""",
    "after": f"""# Ten cases, after the course

They are of the same kind as those before the course. **Use the same alias as then.**

{_HOW}""",
}
_END = """## Hand in

The next cell records your answers. After that they stay as they are."""
