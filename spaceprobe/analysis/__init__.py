"""Statistics of folding counts, aggregates of networks, correlations: tables in, tables out.

Without files and torch. Which columns of a table are settings is asked of its declaration, which the caller
hands in (`spaceprobe.tables.frames.Frames`).
"""
