"""Results in the forms that papers and other tools take: LaTeX, Markdown, Parquet, TensorBoard."""
