"""Where HTTP targets that answered 202 tell how their work has ended.

The address is the proof of who calls: it needs no token, is as long as one, and is good for one answer.
"""

from msgspec import Struct

from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.callback import CallbackAnswer

CALLBACK_BODY_BYTES_MAX = 384 * 1024


class CallbackTaken(Struct, frozen=True):
    """The answer is kept; the run goes on by it within moments."""

    accepted: bool = True


@endpoint(
    "POST",
    "/callbacks/{callback_secret}",
    None,
    body=CallbackAnswer,
    body_bytes_max=CALLBACK_BODY_BYTES_MAX,
    answers=(CallbackTaken,),
    errors=("INVALID_INPUT", "STATE_CONFLICT", "GONE", "RATE_LIMITED", "UNAVAILABLE"),
    example={"outcome": "succeeded", "result": {"rows": 1204}},
)
async def answer_callback(call: Call[CallbackAnswer, Nothing]) -> Answer:
    """End the attempt that this address was made for, once: as the target of a request that was answered with 202."""
    await call.services.callbacks.answer(call.path["callback_secret"], call.body)
    return Answer(CallbackTaken())


ENDPOINTS: tuple[Endpoint, ...] = (answer_callback,)
