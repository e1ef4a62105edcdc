"""Measurements; each runs on any data and prints JSON with ``--json``."""
