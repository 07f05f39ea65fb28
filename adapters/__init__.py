"""Everything trained, and the only home of torch."""
