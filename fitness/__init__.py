"""Measure: the runs that score a genome, and what keeps them honest."""
