"""What a study looks like: figures, and a page that shows them."""

from spaceprobe.report.font_list import pass_over_odd_font_list

pass_over_odd_font_list()  # here: whatever imports matplotlib for a figure imports this package first
