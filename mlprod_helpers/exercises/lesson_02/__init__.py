"""Exercises of lesson 02, adversarial validation: from the feature "Set" to a decision that is scored by its cost."""

from mlprod_helpers.exercises.lesson_02.e1_make_set import make_set
from mlprod_helpers.exercises.lesson_02.e2_seven import seven
from mlprod_helpers.exercises.lesson_02.e3_adversarial_auc import adversarial_auc
from mlprod_helpers.exercises.lesson_02.e4_shift_of import shift_of
from mlprod_helpers.exercises.lesson_02.e5_pvalue import pvalue
from mlprod_helpers.exercises.lesson_02.e6_names_its_table import names_its_table
from mlprod_helpers.exercises.lesson_02.e7_foreign import foreign
from mlprod_helpers.exercises.lesson_02.e8_decide import decide

TITLE = "Adversarial validation"
NEEDS = ("01",)
EDITION = 2
NEXT = "Go on with lesson 03, where you turn such a comparison into an alarm that people take seriously."
EXERCISES = (
    make_set,
    seven,
    adversarial_auc,
    shift_of,
    pvalue,
    names_its_table,
    foreign,
    decide,
)
