"""The Open Model Zoo: files, checksums, and where they can be had.

Checksums: sha256 of the zoo's 2021.4 files, sha384 as its model.yml lists them for 2022.1 and
2023.0. Several releases are good; the files of one do not go with those of another.
"""

from __future__ import annotations

from posewire.inference.registry.spec import FileSpec, ModelSpec, Preprocessing
from posewire.shared.settings import Family, Precision

DETECTOR = "person-detection-retail-0013"
POSE = "human-pose-estimation-0001"

_ZOO = "https://storage.openvinotoolkit.org/repositories/open_model_zoo"
_ZOO_2021 = "https://download.01.org/opencv/2021/openvinotoolkit/2021.2/open_model_zoo/models_bin/3"
_PUBLISHER = "Intel (Open Model Zoo)"
_LICENCE = "Apache-2.0"
_UNNAMED = "Intel does not say what it was trained on."
_LIKE_COCO = (
    "Intel does not say what it was trained on; it gives the accuracy on COCO, whose pictures have "
    "terms of their own."
)
# The networks learned from pictures that were stretched to their shape.
_FOR_DETECTORS = Preprocessing(resize="near-stretch")

# (model, precision) -> releases: folder below _ZOO (None: good where it is found), digests of xml
# and bin. They are tried in this order.
_RELEASES: dict[tuple[str, Precision], tuple[tuple[str | None, str, str], ...]] = {
    (POSE, "FP16-INT8"): (
        ("2022.1/models_bin/3",
            "a510a334889632a4871aba3b2f4544f79b6b1e2d0be970550d4febe40b28c83b7ac3dee71143943e0cf08983e06f89ea",
            "0d99c9c76cb2ffac0855b01621c290432e85150dd0f7cbaa808f1abf16c6b282e97744cc502d8222c0d96a1463801b55"),
        ("2021.4/models_bin/3",
            "581b082e749848fdfc6d4b4b70e8189c3c2bae1c2d59c6b2c1a026a5471754e3",
            "df2a9f41f15c3a0c8a0c5a704650338a3cc5c7bb588f2bfc14ea7093fa37b446"),
    ),
    # The Neural Compute Stick runs FP16, and its engine reads no release after 2021.4.
    (POSE, "FP16"): (
        ("2021.4/models_bin/3",
            "560880b45f2e58f1f4d5388000e0364c30199ef656a1b2fd07cd4cdb7b53561c",
            "40dfef77d8216f23b83d86d8915659e3ade89abadbb9173bc9b946cffb6c1c9e"),
        (None,
            "cffe8df7d053b9cbf858a21faa32e30cb8a645416e9ee4ce3fbcc3106094505477d66a06b7e46d6ddb9c2de4b0cee319",
            "dabb7be42c5be008de354c6670aa8291c2d18e59f18a1c138df9b5200929a03c1e323930a1d21ecff69d3f06007de67c"),
    ),
    (POSE, "FP32"): (
        ("2023.0/models_bin/1",
            "64e24ceca496aba4fb818edbea7c3a1405bc42c3166eac1b4be4f6cc89623c80cb9a1fd4c32d245d423653aa588e1a0b",
            "64ef06d261ae522409172a396d927f7345525dbde011e3e2bff487f73e7b1d8cf622091feba9c23c7d4625c0aab0a3e5"),
    ),
    (DETECTOR, "FP16-INT8"): (
        ("2023.0/models_bin/1",
            "fce8a548be5b01c54f6c24e6496645cc95ba31fd2ff4aa2722de10f7ae598fd744e6ed66a15ed546ade6695221f94261",
            "17f16e907d4d30ec5913489b6f537daf94a347c0d0b4c4381004118653cc55f731e8b6f3bf23f6306f122d6d7ff32ebc"),
        ("2021.4/models_bin/3",
            "9ea547535cb9120af10bee5474d559b9f7f656bd4397349cdb798bd6af7c1593",
            "68f0bb364e3642912d2f8bbfb8bba89e4c750a4f81b7abd3a110ca759fb6b24e"),
    ),
    # The Neural Compute Stick runs FP16, and its engine reads no release after 2021.4.
    (DETECTOR, "FP16"): (
        ("2021.4/models_bin/3",
            "21f3e382674f1587d2677a97f25e7e1555b8b6f90fec036d752daac086c3183b",
            "56eeccbeb3f27144046edacb95b459d60f3930f54051ef5b9e5253923c07b672"),
        (None,
            "99ad3d4580a0123bef05ff77b6f46ccec16de974d1f5699fb94cd842e3242c6aa641f4977f9a5bb2f0fab42fe51cbb63",
            "a67422e3b5ec76057651d2a0237eab862de00e968c7eef1e5f333849ae64f91900bcd30a23e1b7dbaa07313e358759b9"),
    ),
    (DETECTOR, "FP32"): (
        ("2023.0/models_bin/1",
            "6a937c6068cf9b5f133e86739971267c4037990dcd39a70631777bf9252481b4ed9d6c2f60edb63436a9833fc8e6a142",
            "9e0fb51e3b9064657b14ddd8c190f7088fd561a184acd38ba7a7d4c491879e56a5a6d4619810cbbaef36a9653810486a"),
    ),
}  # fmt: skip

_MEGABYTES = {
    (POSE, "FP32"): 16.5, (POSE, "FP16"): 8.4, (POSE, "FP16-INT8"): 4.7,
    (DETECTOR, "FP32"): 3.3, (DETECTOR, "FP16"): 2.0, (DETECTOR, "FP16-INT8"): 1.8,
}  # fmt: skip

# Digests as the zoo's model.yml list them: xml and bin. None of these could be run here.
_NEWER: dict[tuple[str, Family, Precision], tuple[str, float, str, str]] = {
    ("person-detection-0200", "ssd", "FP16-INT8"): (f"{_ZOO}/2021.2/models_bin/1", 2.4,
        "f17fb6b39451106bbc8fc85ce78d3e3e554fc6bad58fc3030be5dad74d183437",
        "96eae0de7a1b2d568f8931390e5b09f68443bd74b6cf0fead92c4e9c8398a0d1"),
    ("person-detection-0200", "ssd", "FP16"): (f"{_ZOO}/2021.2/models_bin/1", 3.8,
        "0f6cbafd5a8cd92ad89e67e3c3471de3e5772d20c9d0a612139777cc0a72235a",
        "aba627cdd9c6576cf6e7442191b9663811d327f2ea0ffe113fb77ba07c124b58"),
    ("person-detection-0200", "ssd", "FP32"): (f"{_ZOO}/2021.2/models_bin/1", 7.5,
        "7c799fd5f8921a9bb0d831e07a22773457c0ba6214bf786aec73374bef821c17",
        "c44a6e7ddab71fb784c599ab8325c7ccd72c8c0ab1312cd0f93924c9c2c655cb"),
    ("person-detection-0201", "ssd", "FP16-INT8"): (f"{_ZOO}/2021.2/models_bin/1", 2.4,
        "723dbb13d4b9a88d6333c5a17ec48c4d3ce46809db50eb72158d26f1e65a0047",
        "b5afd5c109e69f6bc16252df0f1cf7281889e0012821eb4d500f86155daf4e5c"),
    ("person-detection-0201", "ssd", "FP16"): (f"{_ZOO}/2021.2/models_bin/1", 3.8,
        "95a266e66d6e920594f1a8fbcabcd0a72358065098416d11e2bd406310ed549a",
        "81ec4d0c1219ec7f00e17102c86900e4253776227137f15e12cda8c7e7994aec"),
    ("person-detection-0201", "ssd", "FP32"): (f"{_ZOO}/2021.2/models_bin/1", 7.5,
        "0535a7c2e71a63478ebc5922ae320a947731272b1a6ff26a4a7fa933bfa69df2",
        "e21fc97a9a28310a096a3ca6c29674f35e99016e7fcc0d5d80bce15747fdf5f3"),
    ("person-detection-0202", "ssd", "FP16-INT8"): (f"{_ZOO_2021}", 2.4,
        "54ac2e5a674fd96460bcd0be2946673c688dce843ec9e4c8c81d3eac4e098eb3",
        "bfabc65982221b500dd3ea90dc54f010ac31636011067920ef6ead298e39e5af"),
    ("person-detection-0202", "ssd", "FP16"): (f"{_ZOO_2021}", 3.8,
        "649213976ea433d338752235944c96ce67809d175860b6814778847192497501",
        "c82526a14d4c3c2d4c04e06e1173f573374fb5a2a97393b926f96adbff7b345b"),
    ("person-detection-0202", "ssd", "FP32"): (f"{_ZOO_2021}", 7.5,
        "b98e6f77e245c503590bfc60d80c5df6ce613210da7cb5e0520eb38321475ed7",
        "51d95e643733d2a11ad830b954f8c3cc9e15c08ffab796be0c96c37e99e27e83"),
    ("person-detection-0203", "atss", "FP16"): (f"{_ZOO_2021}", 5.0,
        "0f3316a35412b48b760e97ba33063fedd82ef4aeb5521ceefe233a11f3a539eb",
        "e7ff7f360d42bd24476ce7e83e41bed99d9014058ac6f0ce70cc84f76d78fb12"),
    ("person-detection-0203", "atss", "FP32"): (f"{_ZOO_2021}", 8.9,
        "f7b3590794ddb668573413e2c984edf3df365e8edba70ee2eda5a256afd14b8f",
        "f7fd0fbf2a29fcc370e561cf499bcecc4d2a684905a7d199c5cea13a896dbd5d"),
    ("human-pose-estimation-0005", "associative-embedding", "FP16"): (
        f"{_ZOO}/2021.4/models_bin/3", 17.4,
        "a14e7de99e9edfb38c990401301e6f823032a1ed0d42bed997dc865f797fe181",
        "8d99a9efaf9b5df8bcc8d25811dcd595b6461ab28b8d60a03cea0f238eb7b813"),
    ("human-pose-estimation-0005", "associative-embedding", "FP32"): (
        f"{_ZOO}/2021.4/models_bin/3", 33.7,
        "faddff73d6645c2efd581979aad84d72888bab9e798e080429052d1f8a74437d",
        "51f8f34dbd3a2eab1265b8fa7aa9cbfb4a5c65c8beaadda92c9e3b4e311689ed"),
    ("human-pose-estimation-0006", "associative-embedding", "FP16"): (
        f"{_ZOO}/2021.4/models_bin/3", 17.4,
        "c2e7d6ca58ded4806b6bdab150752bcf3009c9c3225b938a7e940d247782bed2",
        "8d99a9efaf9b5df8bcc8d25811dcd595b6461ab28b8d60a03cea0f238eb7b813"),
    ("human-pose-estimation-0006", "associative-embedding", "FP32"): (
        f"{_ZOO}/2021.4/models_bin/3", 33.7,
        "60f853d1352a8a406108a2dfef922bc9935ca593e61f9ffa6cb631c26c7379e3",
        "51f8f34dbd3a2eab1265b8fa7aa9cbfb4a5c65c8beaadda92c9e3b4e311689ed"),
    ("human-pose-estimation-0007", "associative-embedding", "FP16"): (
        f"{_ZOO}/2022.1/models_bin/2", 18.3,
        "28d3943151cf35597a32020943a9b009cfab722dcc179962cf40fbd6c4ce2d5d4fa807e49af4df3f6306ef8b0c3697ea",
        "0faee3c20cfeec5af03d138f5f0405920bb43a31ce53adf12fbe7f6f7d361ef9e1620fb0dd75cff73f300f4f983a875a"),
    ("human-pose-estimation-0007", "associative-embedding", "FP32"): (
        f"{_ZOO}/2022.1/models_bin/2", 34.2,
        "1bcdbf9f7dbbafa800465349502a7ae8d2751033dba7ee2af9bfd898ad8b317a08e88656587c7bb58b902b5b2cf475c7",
        "d8d3edfbd129d20bf7045746b2f3858a349bc9c85b2a69e252217616f70cd24c4b95f65f199298263fee6c382254b856"),
}  # fmt: skip


def _zoo(name: str, family: Family, precision: Precision) -> ModelSpec:
    releases = []
    for release, *digests in _RELEASES[name, precision]:
        files = []
        for extension, digest in zip(("xml", "bin"), digests, strict=True):
            file = f"{name}.{extension}"
            urls = () if release is None else (f"{_ZOO}/{release}/{name}/{precision}/{file}",)
            files.append(FileSpec(file, (digest,), urls))
        releases.append(tuple(files))
    size = _MEGABYTES[name, precision]
    return ModelSpec(
        name, family, precision, releases[0], _LICENCE, size, others=tuple(releases[1:]),
        publisher=_PUBLISHER, trained_on=_UNNAMED if family == "ssd" else _LIKE_COCO,
        preprocessing=_FOR_DETECTORS if family == "ssd" else Preprocessing(),
    )  # fmt: skip


def _newer() -> list[ModelSpec]:
    specs = []
    for (name, family, precision), (base, size, *digests) in _NEWER.items():
        files = tuple(
            FileSpec(
                f"{name}.{extension}", (digest,), (f"{base}/{name}/{precision}/{name}.{extension}",)
            )
            for extension, digest in zip(("xml", "bin"), digests, strict=True)
        )
        detects = family in ("ssd", "atss")
        specs.append(
            ModelSpec(
                name, family, precision, files, _LICENCE, size,
                # The SSD detectors of 2021 count classes from 0.
                person_label=0 if family == "ssd" else 1,
                publisher=_PUBLISHER, trained_on=_UNNAMED if detects else _LIKE_COCO,
                preprocessing=_FOR_DETECTORS if detects else Preprocessing(),
            )
        )  # fmt: skip
    return specs


_PRECISIONS: tuple[Precision, ...] = ("FP16-INT8", "FP16", "FP32")

MODELS: tuple[ModelSpec, ...] = (
    *(_zoo(DETECTOR, "ssd", precision) for precision in _PRECISIONS),
    *(_zoo(POSE, "openpose-paf", precision) for precision in _PRECISIONS),
    *_newer(),
)
