"""The live page's questions: a network, an image, the activations of a layer, one unit of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response

from featurescape.server.api import answers
from featurescape.server.api.bodies import read_bytes, read_json
from featurescape.server.api.described import bytes_body, described
from featurescape.server.api.services import Services, Use
from featurescape_jobs.live.requests import (
    ActivationsQuestion,
    NetworkQuestion,
    UnitQuestion,
    parse_question,
)

router = APIRouter(prefix="/v1/live", tags=["live"])

_LENET = {"name": "lenet", "weights": "random"}
_ASKED = {"model": _LENET, "image": "0" * 64, "layer": "conv1"}
_IMAGE_TYPES = ("application/octet-stream", "image/*")


@router.post(
    "/images",
    response_model=answers.LiveImage,
    openapi_extra=bytes_body("An encoded image.", _IMAGE_TYPES[-1]),
)
async def image(request: Request, use: Use) -> dict[str, str]:
    """Keep an encoded image (the body) for a while; its id."""
    data = await read_bytes(request, use.settings.live_image_bytes, _IMAGE_TYPES)
    return {"image": use.live.keep(data)}


@router.post(
    "/networks",
    responses={200: {"model": answers.NetworkInfo}},
    openapi_extra=described(lambda: NetworkQuestion, {"model": _LENET}),
)
async def network(request: Request, use: Use) -> Response:
    """Start a network, or find it started; its layers and input."""
    asked = await _question(NetworkQuestion, request, use)
    return await answer_while_asked(request, use.live.describe(asked.model))


@router.post(
    "/activations",
    responses={200: {"model": answers.Activations}},
    openapi_extra=described(lambda: ActivationsQuestion, _ASKED),
)
async def activations(request: Request, use: Use) -> Response:
    """Activations of a layer for an image: all channels as a grid, the strongest, the outputs."""
    return await answer_while_asked(
        request, use.live.ask(await _question(ActivationsQuestion, request, use))
    )


@router.post(
    "/unit",
    responses={200: {"model": answers.UnitAnswer}},
    openapi_extra=described(lambda: UnitQuestion, {**_ASKED, "channel": 0}),
)
async def unit(request: Request, use: Use) -> Response:
    """One channel of a layer for an image, and what its strongest cell owes to the pixels."""
    return await answer_while_asked(
        request, use.live.ask(await _question(UnitQuestion, request, use))
    )


async def _question(kind: type[Any], request: Request, use: Services) -> Any:
    """The checked body: the model has to be one that this service may load."""
    body = await read_json(request, use.settings.max_body_bytes)
    asked = parse_question(kind, body)
    await asyncio.to_thread(use.admission.check_network, asked.model)
    return asked


async def answer_while_asked(request: Request, work: Coroutine[Any, Any, bytes]) -> Response:
    """The answer; where the asker goes away meanwhile, the question leaves the queue."""
    answering = asyncio.create_task(work)
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return Response(status_code=499)  # nobody reads it
        return Response(answering.result(), media_type="application/json")
    finally:
        answering.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
