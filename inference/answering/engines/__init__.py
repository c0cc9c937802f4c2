"""What answers: one interface over transformers and vLLM, with the same decoding rules."""
