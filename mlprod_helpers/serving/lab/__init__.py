"""The laboratory: processes for the time of one `with` block, load on them, rollouts, and recordings of real runs."""
