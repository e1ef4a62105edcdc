"""Top-down pose networks, which look at one person, and detectors for them.

PP-TinyPose and PicoDet are PaddleDetection's ("tinypose_enhance", 2022). Their IR files lie in the
GitHub repository of a user of them, at the commit below, and the digests here are of those. The
publisher's own files are zips in Paddle's format. The digests of TinyPose's are second-hand, those
of PicoDet's are not known.
"""

from __future__ import annotations

from posewire.inference.registry.spec import FileSpec, ModelSpec, Preprocessing, ZipSpec
from posewire.shared.settings import Family

TINYPOSE = "tinypose-256x192"
TINYPOSE_SMALL = "tinypose-128x96"
PICODET = "picodet-s-pedestrian-320"
PICODET_SMALL = "picodet-s-pedestrian-192"
RTMDET = "rtmdet-nano-person"

_GITHUB = "https://raw.githubusercontent.com"
_TINYPOSE_IR = (
    f"{_GITHUB}/guojin-yan/Csharp_and_OpenVINO_deploy_PP-TinyPose/"
    "0f6a4845d37b5b16edacbb76f1b1debb39e28a11/model"
)
_PADDLE_ZIPS = "https://bj.bcebos.com/v1/paddledet/models/keypoint/tinypose_enhance"
_RTMDET_ONNX = (
    f"{_GITHUB}/zhouweigogogo/RTMPose-NCNN/2545bbbd1f63622a1f88635f47f5d93adc5ac81d/"
    "rtmpose/models/rtmdet-nano.onnx"
)
_RTMDET_WEIGHTS = (
    "https://download.openmmlab.com/mmpose/v1/projects/rtmpose/"
    "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth"
)

_PADDLE = (
    "Baidu, PaddleDetection (the IR files lie in guojin-yan's repository on GitHub, which states "
    "no licence of its own)"
)
_PADDLE_DATA = (
    "PaddleDetection names COCO and AI Challenger, and sports pictures of its own. COCO's pictures "
    "and AI Challenger have terms of their own."
)
_MMPOSE = (
    "OpenMMLab, RTMPose (the ONNX file lies in zhouweigogogo's repository on GitHub, which states "
    "no licence of its own)"
)
_MMPOSE_DATA = "OpenMMLab names COCO and Objects365, which have terms of their own."
_IMAGENET_RGB = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_IMAGENET_BGR = ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))

PREPROCESSING: dict[Family, Preprocessing] = {
    "heatmap-topdown": Preprocessing("RGB", *_IMAGENET_RGB, "crop", border=0, margin=1.15),
    "simcc-topdown": Preprocessing("RGB", *_IMAGENET_RGB, "crop", border=0, margin=1.25),
    "picodet": Preprocessing("RGB", *_IMAGENET_RGB, "stretch", interpolation="cubic"),
    "rtmdet": Preprocessing("BGR", *_IMAGENET_BGR, "letterbox", border=114),
    "yolox": Preprocessing(resize="letterbox", border=114),
}
"""As the publishers of these families have it, for models of the user's own, too."""


def _paddle(
    name: str, family: Family, ir: str, xml: str, weights: str, size: float, archive: str,
    *, archive_digest: str | None = None, threshold: float | None = None,
    nms_iou: float | None = None,
) -> ModelSpec:  # fmt: skip
    files = tuple(
        FileSpec(
            f"{name}.{extension}", (digest,), (f"{_TINYPOSE_IR}/{ir}/ir_fp16/model.{extension}",)
        )
        for extension, digest in (("xml", xml), ("bin", weights))
    )
    url = f"{_PADDLE_ZIPS}/{archive}"
    others: tuple[ZipSpec, ...] = ()
    if archive_digest is not None:
        others = (ZipSpec(FileSpec(archive, (archive_digest,), (url,))),)
    return ModelSpec(
        name, family, "FP16", files, "Apache-2.0", size,
        others=others, elsewhere=() if others else (url,),
        publisher=_PADDLE, trained_on=_PADDLE_DATA, preprocessing=PREPROCESSING[family],
        threshold=threshold, nms_iou=nms_iou,
    )  # fmt: skip


MODELS: tuple[ModelSpec, ...] = (
    _paddle(
        PICODET, "picodet", "picodet_v2_s_320_pedestrian",
        "fc69d950abc656f657e59874e2466f82da5370166c975367fa83b1f4f72c92da",
        "f3b8b2de41f9b34c05f10bd4640f9dd66f4ec191be3740b261183eaff9e554d2",
        3.0, "picodet_s_320_lcnet_pedestrian.zip",
        # On an outdoor clip its precision is .51 at .25, .78 at .4 and .87 at .5.
        threshold=0.4, nms_iou=0.6,
    ),
    _paddle(
        PICODET_SMALL, "picodet", "picodet_v2_s_192_pedestrian",
        "0e3c425c08b666e31d98ce751cd38d2244b0c93d2d1250cc3f9fc823e118c321",
        "747ec2d2d9b8f3f0bb842a67b3e8872f8ae56cc9682858b04d275517f07fd2ff",
        3.0, "picodet_s_192_lcnet_pedestrian.zip",
        threshold=0.4, nms_iou=0.6,
    ),
    ModelSpec(
        RTMDET, "rtmdet", "FP32",
        (
            FileSpec(
                f"{RTMDET}.onnx",
                ("3ffba1489bb1cd4e4744f505f6423e2173c188795860e94c0fe9937ab6133a0f",),
                (_RTMDET_ONNX,),
            ),
        ),
        "Apache-2.0", 4.1,
        elsewhere=(_RTMDET_WEIGHTS,), publisher=_MMPOSE, trained_on=_MMPOSE_DATA,
        preprocessing=PREPROCESSING["rtmdet"],
    ),
    _paddle(
        TINYPOSE, "heatmap-topdown", "tinypose_256_192",
        "71990905e8ee8de250c57c4d52a6bb25028fecb7f3fc35d43707febefa45ba14",
        "b16cdb387b96f431c4e0052a8f1c5344bb5cc7c71cc14e245be260624968e462",
        4.1, "tinypose_256x192.zip",
        archive_digest="78b53eba62159efa617f37cc026c913bfa486555d85c71390f5ddb2a10b70b61",
    ),
    _paddle(
        TINYPOSE_SMALL, "heatmap-topdown", "tinypose_128_96",
        "f743e248d871ce647c63e05cde6a1bc660bf612208687acf70173bbe18e1885a",
        "aa745b5711155bf07b3c60bb9d0b17ad4f5cd6ff57606fba564f20764fe79daf",
        4.1, "tinypose_128x96.zip",
        archive_digest="b737aa851a1ce9403950280be5df4bdd9c0e0287dd7ecdaa16f534d9c940015d",
    ),
)  # fmt: skip
