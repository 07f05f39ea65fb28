"""The page and the tables of a finished run."""
