"""The contract of every exercise, one module a lesson."""
