"""Ratios against real peers, taken in the same run on the same machine. `make bench`, or one: `make bench ONLY=cli`."""
