"""Trace files go in; a local web page, one file that opens offline, a tree in the terminal, or spans come out.

`python -m agent.viewer runs/` starts it. Nothing in here loads a model, and only the page's own files, the traces
under the folders that were named, and the videos that those traces name are ever read.
"""
