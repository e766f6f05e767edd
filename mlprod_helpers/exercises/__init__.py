"""The contract of every exercise: one folder a lesson, one file an exercise."""
