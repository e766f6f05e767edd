"""What the learner sees of an exercise: check, hint, solution, progress."""
