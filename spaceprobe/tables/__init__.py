"""Tables: what a CSV declares, its rows as a DataFrame, and the states of a network. Without torch."""
