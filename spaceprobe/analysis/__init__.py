"""Statistics of folding counts, aggregates of networks, correlations: tables in, tables out.

Numpy and pandas only; no files, no torch, and nothing from the other rooms.
"""
