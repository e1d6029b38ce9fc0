"""What passes over a link: tcpdump into a file, read here."""

from __future__ import annotations

import dataclasses
import pathlib
import struct

from tests.lab.process import Process, wait_until


@dataclasses.dataclass
class Packet:
    source: str
    destination: str
    protocol: int  # 6: TCP
    source_port: int
    destination_port: int
    payload: bytes


def _ip(data: bytes) -> str:
    return ".".join(str(byte) for byte in data)


def parse(path: pathlib.Path) -> list[Packet]:
    """IPv4 packets of a pcap file with Ethernet frames."""
    data = path.read_bytes()
    packets, at = [], 24
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        if len(frame) < 34 or frame[12:14] != b"\x08\x00":
            continue
        header = (frame[14] & 15) * 4
        segment = frame[14 + header:14 + struct.unpack_from(">H", frame, 16)[0]]
        protocol = frame[23]
        if protocol == 6:
            ports, payload = struct.unpack_from(">HH", segment), segment[(segment[12] >> 4) * 4:]
        elif protocol == 17:
            ports, payload = struct.unpack_from(">HH", segment), segment[8:]
        else:
            ports, payload = (0, 0), segment
        packets.append(Packet(_ip(frame[26:30]), _ip(frame[30:34]), protocol, *ports, payload))
    return packets


class Capture:
    """Captures a device of a namespace from construction until stop()."""

    def __init__(self, namespace: str, device: str, folder: pathlib.Path) -> None:
        self.path = folder / f"{namespace}-{device}.pcap"
        self._process = Process(namespace, ["tcpdump", "-i", device, "-U", "--immediate-mode", "-s", "0", "-w", str(self.path), "-n"],
                                folder / f"{namespace}-{device}.tcpdump.log")
        self._process.wait_for_log("listening on")

    def stop(self) -> list[Packet]:
        wait_until(lambda: self.path.exists() and self.path.stat().st_size >= 24, 5, "the capture file")
        self._process.stop()
        return parse(self.path)
