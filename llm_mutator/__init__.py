"""The LLM writes: operators that ask a model, what they ask, how a reply is read, and who answers."""
