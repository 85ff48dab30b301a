"""The HTML page: one file that needs no other, no network, and no script to be read."""
