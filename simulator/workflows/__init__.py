"""Whole jobs: what one call of the program does."""
