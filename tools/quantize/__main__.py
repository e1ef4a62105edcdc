"""Quantise a network to INT8 with calibration pictures of your own.

    make quantize-env
    .venv-quantize/bin/python tools/quantize MODEL PICTURES... [--out DIR]

MODEL is a name from 'posewire models list'. PICTURES are files, folders and videos that look like
what your cameras see; a hundred people or more. Never those that you measure accuracy with.

NNCF's post-training quantisation: weights and activations become 8-bit integers, with ranges that
the calibration pictures give. Nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import nncf
import numpy as np
import openvino as ov

from comparison import interleaved_ms, likeness, megabytes
from pictures import network_input, people, read
from posewire.inference.registry import DETECTORS, TOP_DOWN, ModelFiles, find, find_spec, known
from posewire.shared.errors import PosewireError
from posewire.shared.settings import load_settings

_HELD_BACK = 5
"""Every fifth input is not calibrated with: the outputs are compared on those."""
_LEAST = 20
_ROUNDS = 200
_PAYS = 0.9
"""Time after over time before; above, it is not worth its loss of accuracy."""


def main() -> None:
    """Quantise, compare, and say how to use the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a name from 'posewire models list'")
    parser.add_argument("pictures", type=Path, nargs="+", help="files, folders and videos")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the result")
    parser.add_argument("--most", type=int, default=300, help="inputs to calibrate with, at most")
    options = parser.parse_args()
    for path in options.pictures:
        if not path.exists():
            parser.error(f"no such file or folder: {path}")
    try:
        settings = load_settings().inference
        spec = find_spec(options.model, "FP32", known(settings), any_precision=True)
        found = find(spec, settings)
    except PosewireError as error:
        parser.error(str(error))
    if found is None:
        parser.error(f"{spec.name} is not on this machine: 'posewire models pull {spec.name}'")
    model = ov.Core().read_model(found.path)
    height, width = (int(side.get_length()) for side in model.inputs[0].partial_shape[2:])
    model.reshape([1, 3, height, width])

    images = read(options.pictures)
    one_person = spec.family in TOP_DOWN
    boxes = people(images, settings) if one_person else [[None]] * len(images)
    looks = [(image, box) for image, there in zip(images, boxes, strict=True) for box in there]
    if len(looks) < _LEAST:
        parser.error(f"{len(looks)} {'people' if one_person else 'pictures'}: too few to calibrate")
    # Evenly spread over all pictures.
    chosen = np.linspace(0, len(looks) - 1, min(len(looks), options.most)).astype(int)
    tensors = [network_input(*looks[n], (height, width), spec.preprocessing) for n in chosen]
    held_back = tensors[::_HELD_BACK]
    calibration = [tensor for n, tensor in enumerate(tensors) if n % _HELD_BACK]

    quantised = nncf.quantize(
        model,
        nncf.Dataset(calibration),
        # Activations such as hard-swish have two unlike sides.
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"{spec.name}-int8.xml"
    ov.save_model(quantised, target)
    _report(found, target, held_back, len(calibration))


def _report(found: ModelFiles, target: Path, tensors: list[np.ndarray], calibrated: int) -> None:
    spec = found.spec
    before, after = (ov.Core().read_model(path) for path in (found.path, target))
    for model in (before, after):
        model.reshape(tensors[0].shape)
    print(f"\n{spec.name}: {spec.precision} to INT8, calibrated with {calibrated} inputs")
    old_size, new_size = megabytes(found.path), megabytes(target)
    print(f"  size  {old_size:7.2f} MB {new_size:7.2f} MB  {new_size / old_size:.2f}")
    for floats, words in ((None, "as OpenVINO computes here"), ("f32", "without bfloat16")):
        old_ms, new_ms = interleaved_ms((before, after), tensors[0], _ROUNDS, floats)
        ratio = new_ms / old_ms
        print(f"  time  {old_ms:7.2f} ms {new_ms:7.2f} ms  {ratio:.2f}  one thread, {words}")
        if floats is None and ratio > _PAYS:
            print("        hardly faster on this machine: not worth its loss of accuracy")
    for name, correlation in likeness(before, after, tensors).items():
        print(f"  {name}: correlation {correlation:.4f} on {len(tensors)} inputs held back")
    key = "detector" if spec.family in DETECTORS else "model"
    name = target.stem
    models = f"{spec.name},{name}" if key == "model" else "pp-tinypose"
    print(
        f'\nTo use it, in posewire.toml:\n\n[inference]\n{key} = "{name}"\n\n'
        f'[inference.models.{name}]\nlike = "{spec.name}"\npath = "{target.absolute()}"\n'
        f'precision = "FP16-INT8"\n\nMeasure the accuracy before you do, with that posewire.toml '
        "and pictures that are\nnot those above:\n\n"
        f"python -m bench.pose_ap --coco ANNOTATIONS.json --images FOLDER --models {models}"
    )


if __name__ == "__main__":
    main()
