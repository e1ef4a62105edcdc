"""Films for tests, made from the sample clip."""

from __future__ import annotations

from pathlib import Path

import av


def repeated(clip: Path, path: Path, times: int) -> Path:
    """Write ``clip`` several times after itself, without coding it anew; return ``path``."""
    with av.open(str(path), "w") as output:
        shift = 0
        stream = None
        for _ in range(times):
            with av.open(str(clip)) as film:
                source = film.streams.video[0]
                stream = stream or output.add_stream_from_template(source)
                end = 0
                for packet in film.demux(source):
                    if packet.dts is None or packet.pts is None:
                        continue  # the flush at the end
                    end = max(end, packet.pts + (packet.duration or 1))
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = stream
                    output.mux(packet)
                shift += end
    return path
