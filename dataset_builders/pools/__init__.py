"""All questions that a dataset may give, built, cleaned, worded and measured once, and kept in a cache."""
