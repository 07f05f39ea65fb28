"""A world of minds: generated films where it is known exactly who saw what, and when."""
