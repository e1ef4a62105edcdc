"""Turns people into tracks, visits and events, and stores them."""
