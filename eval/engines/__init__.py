"""How questions are spread: over this process, several, a launch of accelerate, a Ray cluster."""
