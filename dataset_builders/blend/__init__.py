"""The rows that a blend takes of its datasets' pools, mixed; and what is said about them."""
