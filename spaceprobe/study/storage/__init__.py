"""Files of results: whole files, parts with their own keys, what is known of them, and CSVs."""
