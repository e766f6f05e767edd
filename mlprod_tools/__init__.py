"""What authors and instructors run: `mlprod build`, `mlprod audit`."""
