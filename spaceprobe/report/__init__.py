"""What a study looks like: figures, and a page that shows them."""
