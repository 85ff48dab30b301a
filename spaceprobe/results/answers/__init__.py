"""The tables that answer what a study asks, computed from its tables."""
