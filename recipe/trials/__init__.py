"""Blends tried as an experiment: what has been run, and what a dataset, a source or a line of a blend is worth."""
