"""The OpenAI Chat Completions format and its dialects."""
