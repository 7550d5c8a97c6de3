"""The API's own description."""

from typing import Any

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint


@endpoint("GET", "/openapi.json", Access("openapi", "read"), answers=(dict[str, Any],))
async def get_openapi(call: Call[Nothing, Nothing]) -> Answer:
    """Describe the API in OpenAPI 3.1."""
    return Answer(call.services.description)


ENDPOINTS: tuple[Endpoint, ...] = (get_openapi,)
