"""The field's harness, lmms-eval, on one side, Mindreel's agent and benchmarks on the other: each can use the other's.

`model` is our agent as a model that lmms-eval can ask; `tasks` are benchmarks that it lacks, for any of its models;
`python -m eval.lmms` writes their data in the form that it reads.
"""
