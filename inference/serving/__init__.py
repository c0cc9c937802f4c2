"""vLLM's own OpenAI server, which knows questions: system prompt and decoding rule by task type."""
