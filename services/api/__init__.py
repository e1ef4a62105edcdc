"""Serves cameras, overlays, visits and events to people and programs."""
