"""Posewire: who is in view of the cameras, how they stand, and who came and left.

The folders of the project are the packages here: ``posewire.capture`` is services/capture,
``posewire.shared`` is shared (docs/architecture.md, "Names").
"""
