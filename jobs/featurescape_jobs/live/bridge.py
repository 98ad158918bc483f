"""The process between the service and Ray: ``python -m featurescape_jobs.live.bridge FD ADDRESS``.

Ray's client ends its process when it loses its cluster, has calls without a time limit, and its settings
are those of the process: so it lives in a process of its own, which the service can end at any time. The
bridge reads frames from the socket FD, starts and asks actors on the cluster at ADDRESS, and answers in any
order. When the service closes the socket, or dies, the bridge ends, and with it its actors.

Frames in: ``{"id", "do": "start", "actor", "network", "setup", "cpus", "gpus", "seconds"}`` (``actor``: a
name of `ACTORS`), ``{"id", "do": "ask", "network", "method", "question", "seconds"}`` with the image as the
body, ``{"id", "do": "end", "network"}``. Frames out: ``{"id", "status"}`` with ``ok`` (the body is the
answer), ``image`` (ask again with it), ``error`` (with ``error``, ours), or ``gone`` and ``late`` (with
``reason``: the actor has ended, by itself or because it took too long).

Holds the images of the calls under way.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Any

from featurescape_jobs.errors import FeaturescapeError
from featurescape_jobs.live.actor import ACTORS
from featurescape_jobs.live.frames import Frame, FrameSocket
from featurescape_jobs.registry import plugins

READY_ID = 0
"""Of the frame that says that the cluster answers."""
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    plugins.VARIABLE: os.environ.get(plugins.VARIABLE, ""),
}
"""Of a network's process: threads that wait by spinning make an answer ten times slower beside other work, and
the plug-ins are those of the service."""
_CLOSE_SECONDS = 3.0
_CONNECT_TRIES = 3


class Bridge:
    """Actors by the names that the service gives them."""

    def __init__(self, frames: FrameSocket) -> None:
        import ray

        self._ray: Any = ray
        self._frames = frames
        self._actors: dict[str, Any] = {}

    def connect(self, address: str) -> None:
        """Reach the cluster; raises what Ray raises.

        A client server starts a process for each client, and gives up when that takes long, as on a busy node: it
        is asked again.
        """
        for tried in range(1, _CONNECT_TRIES + 1):
            try:
                self._ray.init(
                    address=address,
                    namespace="featurescape-live",
                    log_to_driver=False,
                    configure_logging=False,
                )
                break
            except ConnectionAbortedError:
                if tried == _CONNECT_TRIES:
                    raise
        self._frames.send(Frame({"id": READY_ID, "status": "ok"}))

    def serve(self) -> None:
        """Answer until the service is gone."""
        while (frame := self._frames.receive()) is not None:
            threading.Thread(target=self._answer, args=(frame,), daemon=True).start()

    def close(self) -> None:
        """End the actors and let go of the cluster."""
        for name in list(self._actors):
            self._drop(name)
        self._ray.shutdown()

    def _answer(self, frame: Frame) -> None:
        head = frame.head
        try:
            body = getattr(self, f"_{head['do']}")(head, frame.body)
        except self._ray.exceptions.GetTimeoutError:
            self._drop(head["network"])
            self._send(head, status="late", reason=f"no answer within {head['seconds']:g} s")
        except self._ray.exceptions.RayTaskError as error:
            self._send(head, status="error", error=_ours(error).to_json())
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, the service has to be told
            self._drop(head["network"])
            self._send(head, status="gone", reason=_first_line(error))
        else:
            self._send(head, body, status="image" if body is None else "ok")

    def _send(self, head: dict[str, Any], body: bytes | None = None, **values: Any) -> None:
        self._frames.send(Frame({"id": head["id"], **values}, body or b""))

    def _start(self, head: dict[str, Any], _body: bytes) -> bytes:
        actor_class = self._ray.remote(ACTORS[head["actor"]]).options(
            num_cpus=head["cpus"],
            num_gpus=head["gpus"],
            max_restarts=0,
            runtime_env={"env_vars": _ENVIRONMENT},
        )
        actor = actor_class.remote(head["setup"])
        self._actors[head["network"]] = actor
        try:
            description: bytes = self._ray.get(actor.describe.remote(), timeout=head["seconds"])
        except self._ray.exceptions.RayTaskError:
            self._drop(head["network"])  # without a network there is nothing to keep it for
            raise
        return description

    def _ask(self, head: dict[str, Any], body: bytes) -> bytes | None:
        method = getattr(self._actors[head["network"]], head["method"])
        call = method.remote(head["question"], body or None)
        answer: bytes | None = self._ray.get(call, timeout=head["seconds"])
        return answer

    def _end(self, head: dict[str, Any], _body: bytes) -> bytes:
        self._drop(head["network"])
        return b""

    def _drop(self, name: str) -> None:
        actor = self._actors.pop(name, None)
        if actor is not None:
            self._ray.kill(actor)


def _ours(error: Any) -> FeaturescapeError:
    """What the actor raised, if it is ours; else a mistake with its last line."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, FeaturescapeError):
        return cause
    return FeaturescapeError(
        f"the network failed: {type(cause or error).__name__}: {cause or ''}"[:500]
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def main() -> None:
    """Serve until the socket is closed; what goes wrong before that is told on it."""
    descriptor, address = int(sys.argv[1]), sys.argv[2]
    frames = FrameSocket(socket.socket(fileno=descriptor))
    bridge = Bridge(frames)
    try:
        bridge.connect(address)
    except Exception as error:  # noqa: BLE001 - whatever Ray raises, the service has to be told
        frames.send(Frame({"id": READY_ID, "status": "gone", "reason": _first_line(error)}))
    else:
        bridge.serve()
        frames.close()
        threading.Timer(
            _CLOSE_SECONDS, os._exit, (1,)
        ).start()  # a cluster that is gone answers late
        bridge.close()
    os._exit(0)  # threads may still wait for answers that nobody wants


if __name__ == "__main__":
    main()
