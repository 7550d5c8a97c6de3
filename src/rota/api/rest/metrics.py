"""/metrics, for Prometheus. It tells of all tenants' traffic, so that it needs a platform_admin's token, which a scrape
configuration gives as `authorization: {credentials_file: …}`.
"""

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.telemetry.metrics import EXPOSITION_CONTENT_TYPE


@endpoint("GET", "/metrics", Access("metrics", "read"), content_type="text/plain", under_api=False)
async def get_metrics(call: Call[Nothing, Nothing]) -> Answer:
    """Export this process's metrics in the Prometheus text format."""
    exposition = call.services.ports.metrics.exposition()
    return Answer(exposition, content_type=EXPOSITION_CONTENT_TYPE)


ENDPOINTS: tuple[Endpoint, ...] = (get_metrics,)
