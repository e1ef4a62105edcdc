"""Turns frames into people: detects persons and estimates their poses."""
