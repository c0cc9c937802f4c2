"""One page about what was done: ``recipe report``. Reads what the other commands left, runs nothing."""
