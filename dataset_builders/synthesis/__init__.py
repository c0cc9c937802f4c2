"""Training data made by an LLM: constructed from seed rows, enriched, or asked in other words; checked and kept."""
