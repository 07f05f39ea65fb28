"""Annotation files of public data sets go in, Example JSONL comes out; and Example JSONL is checked."""
