"""The default model: a small Qwen2-VL base trained from random weights on a generated world, and its four adapters."""
