"""Put rendered frames together: the H.264 clip and one truth file.

    python pack.py --frames DIR --video people.mp4 --truth people.truth.json

Needs `ffmpeg` with libx264 on the path.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from camera import FPS, HEIGHT, WIDTH
from truth import KEYPOINTS


def gather(folder: Path) -> dict[str, Any]:
    """Return the truth of all frames under `folder`/truth.

    "visits" gives each visit's first and last frame in view; "frames" every person in view:
    `box` and `box_visible` in pixels [x0, y0, x1, y1] (whole body inside the picture; its visible
    part), `visible` 0..1 (share of the whole silhouette), `kp` 17 times [x px, y px, v] with v 0
    outside the picture, 1 hidden, 2 visible.
    """
    frames, visits = [], {}
    for number, path in enumerate(sorted((folder / "truth").glob("*.json"))):
        if path.stem != f"{number:04d}":
            raise SystemExit(f"{folder}: frame {number:04d} is missing, found {path.name} instead")
        people = json.loads(path.read_text())
        frames.append({"frame": number, "people": people})
        for record in people:
            first = {"visit": record["visit"], "person": record["person"], "enter": number}
            visits.setdefault(record["visit"], first)["exit"] = number
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "keypoints": KEYPOINTS,
        "visits": [visits[number] for number in sorted(visits)],
        "frames": frames,
    }


def encode(folder: Path, video: Path, crf: int) -> None:
    """Encode `folder`/frames; raise `crf` for a smaller file and a softer picture."""
    command = ["ffmpeg", "-y", "-v", "error", "-framerate", str(FPS)]
    command += ["-i", str(folder / "frames" / "%04d.png"), "-c:v", "libx264", "-preset", "veryslow"]
    command += ["-crf", str(crf), "-pix_fmt", "yuv420p", "-g", "50", "-movflags", "+faststart"]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv"]
    command += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    subprocess.run([*command, str(video)], check=True)


def main() -> None:
    """Pack what the command line names and print the visits."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--frames", type=Path, required=True, help="the --out of render.py")
    parser.add_argument("--truth", type=Path, help="truth file to write")
    parser.add_argument("--video", type=Path, help="clip to write")
    parser.add_argument("--crf", type=int, default=20, help="18 fine and large .. 28 coarse")
    options = parser.parse_args()
    truth = gather(options.frames)
    for visit in truth["visits"]:
        sys.stdout.write("visit {visit}: person {person}, frames {enter}-{exit}\n".format(**visit))
    if options.truth:
        options.truth.write_text(json.dumps(truth, separators=(",", ":")) + "\n")
    if options.video:
        encode(options.frames, options.video, options.crf)


if __name__ == "__main__":
    main()
