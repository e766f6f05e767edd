"""For `nbgrader_config.py`: what the course needs of nbgrader, and exercises that a person has to grade instead of a zero.

from mlprod_tools.nbgrader import configure

configure(get_config())
"""

import functools
import os

from mlprod_helpers.lesson import graders

SECONDS = 120  # a cell; fitting models on a busy machine takes longer than nbgrader's 30


def configure(config):
    """Set what the course needs in an nbgrader configuration, in place.

    Parameters
    ----------
    config : traitlets.config.Config
        What `get_config()` gives in `nbgrader_config.py`.
    """
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import SaveAutoGrades

    steps = Autograde.autograde_preprocessors.default()
    config.Autograde.autograde_preprocessors = [
        _leave_to_a_person() if step is SaveAutoGrades else step for step in steps
    ]
    config.ClearSolutions.enabled = False  # the answers are out already
    config.Execute.timeout = SECONDS
    os.environ[graders.BY_HAND] = "yes"


@functools.cache
def _leave_to_a_person():
    """nbgrader's step that saves grades, but for checks that could not judge the answer: they wait for a person."""
    from nbgrader.preprocessors import SaveAutoGrades

    class LeaveToAPerson(SaveAutoGrades):
        def _add_score(self, cell, resources):
            reasons = [
                output["evalue"]
                for output in cell.get("outputs", [])
                if output.get("ename") == graders.NotGraded.__name__
            ]
            if not reasons:
                super()._add_score(cell, resources)
                return
            name = cell.metadata["nbgrader"]["grade_id"]
            grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
            grade.auto_score, grade.needs_manual_grade = None, True
            self.gradebook.db.commit()
            self.log.warning("%s of %s is for you to grade. %s", name, self.student_id, reasons[0])

    return LeaveToAPerson
