"""Known models: where their files are, fetching and checking them.

find_spec(name, precision)   what is known of a model
find(spec, settings)         its checked files on this machine, or None
await pull(spec, settings)   fetches them where they are missing
await resolve(settings)      the models that a configuration means, and why
"""

from posewire.inference.registry.catalogue import CATALOGUE, DETECTOR, MOVENET, POSE, ModelSpec
from posewire.inference.registry.download import Progress, pull
from posewire.inference.registry.select import Selection, resolve
from posewire.inference.registry.store import ModelFiles, cache_folder, find, find_spec, known

__all__ = [
    "CATALOGUE",
    "DETECTOR",
    "MOVENET",
    "POSE",
    "ModelFiles",
    "ModelSpec",
    "Progress",
    "Selection",
    "cache_folder",
    "find",
    "find_spec",
    "known",
    "pull",
    "resolve",
]
