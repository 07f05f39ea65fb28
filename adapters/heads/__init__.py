"""Heads on top of the language model."""
