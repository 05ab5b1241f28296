"""Pure routing. Nothing here does I/O, reads a clock or draws a random number: times and sums are arguments.

Three functions take things in and give results back. Begin reading at one of them.

- A snapshot and a call in, a plan out: `plan.py`. `snapshot.py` compiles documents, `draw/` hashes units to arms.
- A document and a command in, a document out: `document/commands.py`. `spec/` parses what operators declare.
- Sums in, a verdict out: `evidence/guardrails.py`. `evidence/due.py` turns verdicts into the next command.
"""
