"""Known models: where their files are, fetching and checking them.

find_spec(name, precision)   what is known of a model
find(spec, settings)         its checked files on this machine, or None
await pull(spec, settings)   fetches them where they are missing
await resolve(settings)      the models that a configuration means, and why
"""

from posewire.inference.registry.catalogue import (
    CATALOGUE,
    MOVENET,
    OPENVINO_ZOO,
    PAIRS,
    PP_TINYPOSE,
)
from posewire.inference.registry.download import Progress, pull
from posewire.inference.registry.families import DETECTORS, ON_OPENCV, TOP_DOWN
from posewire.inference.registry.select import Selection, find_pair, resolve
from posewire.inference.registry.spec import ModelSpec, Pair, Preprocessing
from posewire.inference.registry.store import ModelFiles, cache_folder, find, find_spec, known
from posewire.inference.registry.topdown import PICODET, TINYPOSE
from posewire.inference.registry.zoo import DETECTOR, POSE

__all__ = [
    "CATALOGUE",
    "DETECTOR",
    "DETECTORS",
    "MOVENET",
    "ON_OPENCV",
    "OPENVINO_ZOO",
    "PAIRS",
    "PICODET",
    "POSE",
    "PP_TINYPOSE",
    "TINYPOSE",
    "TOP_DOWN",
    "ModelFiles",
    "ModelSpec",
    "Pair",
    "Preprocessing",
    "Progress",
    "Selection",
    "cache_folder",
    "find",
    "find_pair",
    "find_spec",
    "known",
    "pull",
    "resolve",
]
