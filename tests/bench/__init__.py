"""Measurements: what one request costs, in time, CPU and statements.

Owns `make bench` (a provider as an operator would set one up, a load generator, the tables), the tests that count
what PostgreSQL is asked for, and the door for the shared harness that measures other providers on the same work.
Leaves correctness to the other tests: here an answer is only checked to be the right kind of answer.
How to read the numbers: docs/performance.md.
"""
