"""Video files, GIFs and images, good and bad."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from posewire.capture import jpeg as jpegs
from posewire.capture.sources import open_source
from posewire.shared.errors import SourceError
from posewire.shared.settings import CaptureSettings
from tests.integration.capture.conftest import number_in, numbered, source_of, take

Video = Callable[..., Path]


async def test_every_frame_comes_in_order_with_its_time(new_video: Video) -> None:
    found = await take(new_video(45))
    assert [number_in(p.jpeg) for p in found] == list(range(45))
    assert [p.index for p in found] == list(range(45))
    assert [p.t for p in found] == pytest.approx([n / 10 for n in range(45)])
    assert {(p.width, p.height) for p in found} == {(160, 96)}


async def test_what_is_known_before_the_first_frame(new_video: Video) -> None:
    source = await open_source(source_of(new_video(12)), CaptureSettings())
    assert (source.live, source.fps, source.frames) == (False, 10.0, 12)
    await source.close()


async def test_the_same_bytes_every_time(new_video: Video) -> None:
    video = new_video(30)
    assert await take(video) == await take(video)


@pytest.mark.parametrize("start", [1, 17, 29, 30, 99])
async def test_going_on_in_the_middle_gives_what_would_have_come(
    new_video: Video, start: int
) -> None:
    video = new_video(30)
    assert await take(video, start_frame=start) == (await take(video))[start:]


async def test_the_names_of_a_file(new_video: Video) -> None:
    video = new_video(3, "with space:colon [1]%20.mp4")
    assert len(await take(video)) == 3
    plain = new_video(3, "a b.mp4")
    assert len(await take(f"file://{plain.parent}/a%20b.mp4")) == 3


async def test_an_animated_gif(new_video: Video) -> None:
    found = await take(new_video(8, "moving.gif", codec="gif"))
    assert [number_in(p.jpeg) for p in found] == list(range(8))
    assert [p.t for p in found] == pytest.approx([n / 10 for n in range(8)])


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a rotation into an MP4's track header, as phones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix begins 40 bytes in
    assert struct.unpack_from(">9i", data, at) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def red_side(jpeg: bytes) -> str:
    """Return on which side of the picture the red quarter of ``numbered`` is."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    red = image[..., 2] - image[..., 1]
    height, width = red.shape
    sides = {
        "top": red[: height // 8].mean(), "bottom": red[-height // 8 :].mean(),
        "left": red[:, : width // 8].mean(), "right": red[:, -width // 8 :].mean(),
    }  # fmt: skip
    return max(sides, key=lambda side: sides[side])


@pytest.mark.parametrize(
    # The matrix maps stored to shown: (0 1 -1 0) turns clockwise, the bottom goes to the left.
    ("matrix", "size", "side"),
    [
        ((1, 0, 0, 1), (160, 96), "bottom"),
        ((0, 1, -1, 0), (96, 160), "left"),
        ((-1, 0, 0, -1), (160, 96), "top"),
        ((0, -1, 1, 0), (96, 160), "right"),
    ],
)
async def test_rotation_metadata_is_honoured(
    new_video: Video, matrix: tuple[int, int, int, int], size: tuple[int, int], side: str
) -> None:
    found = await take(turn(new_video(3), matrix))
    assert {(p.width, p.height) for p in found} == {size}
    assert {red_side(p.jpeg) for p in found} == {side}


async def test_a_large_video_is_scaled_down(new_video: Video) -> None:
    capture = CaptureSettings(max_width=320)
    found = await take(new_video(3, size=(640, 384)), capture=capture)
    assert {(p.width, p.height) for p in found} == {(320, 192)}
    assert [number_in(p.jpeg) for p in found] == [0, 1, 2]


class TestBadVideo:
    async def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="does not exist"):
            await take(tmp_path / "none.mp4")

    async def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "zero.mp4").write_bytes(b"")
        with pytest.raises(SourceError, match="empty"):
            await take(tmp_path / "zero.mp4")

    async def test_text(self, tmp_path: Path) -> None:
        (tmp_path / "text.mp4").write_text("These are words, not pictures.\n" * 100)
        with pytest.raises(SourceError, match="no video that can be read"):
            await take(tmp_path / "text.mp4")

    async def test_noise(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(1).bytes(100_000)
        (tmp_path / "noise.mp4").write_bytes(noise)
        with pytest.raises(SourceError):
            await take(tmp_path / "noise.mp4")

    async def test_a_file_cut_before_its_index(self, new_video: Video) -> None:
        video = new_video(40)
        video.write_bytes(video.read_bytes()[:-3000])
        with pytest.raises(SourceError, match="truncated"):
            await take(video)

    async def test_a_file_cut_behind_its_index_gives_what_is_there(self, new_video: Video) -> None:
        video = new_video(40, faststart=True)
        whole = await take(video)
        data = video.read_bytes()
        begin = data.index(b"mdat")
        video.write_bytes(data[: begin + (len(data) - begin) * 6 // 10])
        with capture_logs() as logs:
            found = await take(video)
        assert 5 < len(found) < 38
        assert [number_in(p.jpeg) for p in found[:-1]] == list(range(len(found) - 1))
        assert found[:-3] == whole[: len(found) - 3]
        assert "capture.file_ends_early" in [entry["event"] for entry in logs]

    async def test_a_file_with_damage_inside_goes_on_behind_it(self, new_video: Video) -> None:
        video = new_video(60, fps=10, faststart=True, codec="mpeg4")
        data = bytearray(video.read_bytes())
        half = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
        data[half : half + 400] = bytes(400)
        video.write_bytes(data)
        first = await take(video)
        assert number_in(first[-1].jpeg) == 59
        assert first == await take(video)

    async def test_sound_only(self, tmp_path: Path) -> None:
        with av.open(str(tmp_path / "sound.mp4"), "w") as container:
            stream = container.add_stream("aac", rate=16000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        with pytest.raises(SourceError, match="no video in it"):
            await take(tmp_path / "sound.mp4")

    async def test_a_camera_that_does_not_exist(self) -> None:
        with pytest.raises(SourceError, match="/dev/video93 does not exist"):
            await take(93)

    async def test_a_device_that_is_no_camera(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="does not exist"):
            await take("/dev/video-none")

    @pytest.mark.parametrize("url", ["ftp://u:secretpw@host/a.mp4", "picamera:x", "clip:none"])
    async def test_an_unknown_kind(self, url: str) -> None:
        with pytest.raises(SourceError) as raised:
            await take(url)
        assert "secretpw" not in str(raised.value)


class TestImages:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Images 1 to 12 in several formats, and a file that is none."""
        folder = tmp_path / "photos"
        folder.mkdir()
        for number in range(1, 13):
            suffix = ["png", "jpg", "bmp", "webp"][number % 4]
            cv2.imwrite(str(folder / f"img{number}.{suffix}"), numbered(number))
        (folder / "notes.txt").write_text("not a picture")
        return folder

    async def test_a_folder_in_natural_order(self, folder: Path) -> None:
        found = await take(folder)
        assert [number_in(p.jpeg) for p in found] == list(range(1, 13))
        assert [p.index for p in found] == list(range(12))
        assert found[0].file == "img1.jpg"
        assert found[9].file == "img10.bmp"

    async def test_a_glob(self, folder: Path) -> None:
        found = await take(folder / "*.jpg")
        assert [p.file for p in found] == ["img1.jpg", "img5.jpg", "img9.jpg"]

    async def test_one_image(self, folder: Path) -> None:
        (found,) = await take(folder / "img7.webp")
        assert number_in(found.jpeg) == 7

    async def test_stills_are_a_second_apart_unless_a_rate_is_given(self, folder: Path) -> None:
        assert [p.t for p in await take(folder, 3)] == [0.0, 1.0, 2.0]
        assert [p.t for p in await take(folder, 3, fps=20)] == [0.0, 0.05, 0.1]

    async def test_jpegs_pass_through_untouched(self, folder: Path) -> None:
        found = await take(folder / "*.jpg")
        assert found[0].jpeg == (folder / "img1.jpg").read_bytes()

    async def test_going_on_in_the_middle(self, folder: Path) -> None:
        assert await take(folder, start_frame=5) == (await take(folder))[5:]

    async def test_a_broken_image_is_left_out_and_its_place_kept(self, folder: Path) -> None:
        (folder / "img3.webp").write_bytes(b"RIFF....WEBP")
        (folder / "img5.jpg").write_bytes(b"")
        with capture_logs() as logs:
            found = await take(folder)
        assert [p.index for p in found] == [0, 1, 3, 5, 6, 7, 8, 9, 10, 11]
        skipped = [Path(e["file"]).name for e in logs if e["event"] == "capture.image_skipped"]
        assert skipped == ["img3.webp", "img5.jpg"]

    async def test_nothing_but_broken_images_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_text("no")
        with pytest.raises(SourceError, match=r"none of the 1 images.*no image"):
            await take(tmp_path / "a.jpg")

    @pytest.mark.parametrize("name", ["empty", "empty/*.jpg"])
    async def test_no_images(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(SourceError, match="has no images"):
            await take(tmp_path / name)

    async def test_a_missing_image(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="does not exist"):
            await take(tmp_path / "none.jpg")

    @pytest.mark.parametrize("suffix", ["jpg", "png"])
    async def test_one_pixel(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"dot.{suffix}"
        cv2.imwrite(str(path), np.full((1, 1, 3), 128, np.uint8))
        (found,) = await take(path)
        assert (found.width, found.height) == (1, 1)
        assert jpegs.read_header(found.jpeg).width == 1

    @pytest.mark.parametrize("suffix", ["jpg", "png"])
    async def test_12000x9000(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"huge.{suffix}"
        cv2.imwrite(str(path), np.zeros((9000, 12000), np.uint8))
        (found,) = await take(path)
        assert (found.width, found.height) == (1920, 1440)
        with pytest.raises(SourceError, match=r"12000x9000 is more than capture\.max_pixels"):
            await take(path, capture=CaptureSettings(max_pixels=50_000_000))
