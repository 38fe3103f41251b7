"""Films of a block that moves, in the codecs and containers cameras and their recorders use; and what was recorded."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from mcap.reader import make_reader

from gateway.clock import WallClock
from gateway.config.box import Recording
from gateway.recording.parts import About, Checkpoint
from gateway.recording.video import VideoTap
from gateway.recording.writer import FileWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.config.model import Camera
    from gateway.recording.beside import Beside

NS = 1_000_000_000
START = 1_700_000_000 * NS
FPS = 10
ABOUT = About(
    gateway="corner",
    epoch="e1",
    version="0",
    config_sha="",
    config="",
    models=(),
    made="ring",
    began_ns=START,
    timezone="UTC",
)


def film(path: Path, codec: str = "libx264", *, frames: int = 40, b_frames: int = 0, gop: int = 10) -> Path:
    """A grey street at 10 fps; a red block moves through it, so that every frame is another one."""
    options = {"bf": str(b_frames), "preset": "ultrafast"}
    if codec == "libx265":
        options = {"preset": "ultrafast", "x265-params": f"log-level=none:bframes={b_frames}:keyint={gop}"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options if codec.startswith("libx") else {})
        stream.width, stream.height, stream.gop_size = 128, 96, gop
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def picture(number: int) -> NDArray[np.uint8]:
    """Frame `number` of the film."""
    street = np.full((96, 128, 3), 90, np.uint8)
    left = number * 3 % 96
    street[16:64, left : left + 32] = (255, 0, 0)
    return street


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    """The film's frames as libav decodes them."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


class Message(NamedTuple):
    """One message of a recording, decoded by the protobuf library with the schema in the file."""

    log_ns: int
    event_ns: int
    frame_id: str
    codec: str
    data: bytes


class Recorded:
    """A recording of what is beside the inputs: kept, and written to a file when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: list[tuple[Beside, int, bytes]] = []
        self.full = False

    def beside(self, channel: Beside, log_ns: int, data: bytes) -> bool:
        """As the recorder's: False where there is no room."""
        if not self.full:
            self.kept.append((channel, log_ns, data))
        return not self.full

    def tap(self, cameras: Mapping[str, Camera], **settings: object) -> VideoTap:
        """A tap into this recording."""
        return VideoTap(cameras, {}, Recording(**settings), WallClock(), self.beside)  # type: ignore[arg-type]

    def video(self, camera: str = "gate") -> list[Message]:
        """What was recorded of a camera, in the order of the file."""
        writer = FileWriter(self.path, ABOUT, Checkpoint(0, 0, 0, 1, None))
        for kept in self.kept:
            writer.beside(*kept)
        writer.close()
        found: list[Message] = []
        with self.path.open("rb") as file:
            for schema, channel, message in make_reader(file).iter_messages(
                topics=[f"/camera/{camera}/video"], log_time_order=False
            ):
                assert schema is not None
                assert (schema.name, schema.encoding) == ("foxglove.CompressedVideo", "protobuf")
                assert channel.message_encoding == "protobuf"
                video = described(schema.data, schema.name)()
                video.ParseFromString(message.data)
                at = video.timestamp.seconds * NS + video.timestamp.nanos
                found.append(Message(message.log_time, at, video.frame_id, video.format, video.data))
        return found


def described(descriptors: bytes, name: str) -> type:
    """The message class that a FileDescriptorSet describes."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def decoded(messages: Sequence[Message]) -> list[NDArray[np.uint8]]:
    """The recorded packets through a plain libav decoder, as anybody would read them."""
    decoder = av.CodecContext.create({"h264": "h264", "h265": "hevc"}[messages[0].codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    packets = [av.Packet(message.data) for message in messages]
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return [frame.to_ndarray(format="rgb24") for frame in frames]
