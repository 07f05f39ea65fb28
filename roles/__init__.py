"""What each role asks of a model and how its reply is read: plain Python, no model in here."""
