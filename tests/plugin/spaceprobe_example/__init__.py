"""Plug-ins of spaceprobe, one of each kind."""
