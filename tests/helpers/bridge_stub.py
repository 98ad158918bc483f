"""A bridge without Ray, run as a module: says what the head of a frame tells it to."""

from __future__ import annotations

import os
import socket
import sys
import time

from featurescape_jobs.live.frames import Frame, FrameSocket


def main() -> None:
    frames = FrameSocket(socket.socket(fileno=int(sys.argv[1])))
    address = sys.argv[2]
    if address == "dies":
        sys.exit("no such cluster")
    if address == "refused":
        frames.send(Frame({"id": 0, "status": "gone", "reason": "the token is wrong"}))
        return
    if address == "hangs":
        time.sleep(60)
    frames.send(Frame({"id": 0, "status": "ok"}))
    kept = []
    while (frame := frames.receive()) is not None:
        if frame.head["do"] == "die":
            print("last words", file=sys.stderr, flush=True)
            os._exit(3)
        if frame.head["do"] == "sleep":
            continue
        kept.append(frame)
        if frame.head["do"] == "keep":  # answered later, in the other order
            continue
        for each in reversed(kept):
            frames.send(Frame({"id": each.head["id"], "status": "ok"}, each.body[::-1]))
        kept.clear()


if __name__ == "__main__":
    main()
