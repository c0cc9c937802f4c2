"""What `recipe smoke` does, step by step, and the page it writes."""
