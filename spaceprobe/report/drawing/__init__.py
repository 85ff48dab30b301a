"""What figures are drawn with: their style, marks, legends and panels."""
