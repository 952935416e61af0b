"""A secret URL and a body → posted, or the problem in words that do not show the URL."""

import httpx

from etl.client.status_policy import classify_transport_error
from etl.client.transport import DeadlineTransport, deadline
from etl.runtime.clock import SystemClock
from etl.runtime.secret import Secret

SECONDS = 10.0


def post(url: Secret, body: bytes, seconds: float = SECONDS) -> str | None:
    """Posts JSON to a webhook: ``None``, or the problem. Redirects are not followed, the response is not read.

    It takes ten seconds at most, however slowly the response comes.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "callhouse"}
    timeout, clock = {"timeout": httpx.Timeout(seconds).as_dict()}, SystemClock()
    try:
        request = httpx.Request("POST", url.reveal(), content=body, headers=headers, extensions=timeout)
        # the transport alone: a client would log the URL; a webhook may be in one's own network
        transport = DeadlineTransport(request.url.scheme + ":", clock, 1, may_connect=lambda host, address: True)
        with transport, deadline(clock.monotonic() + seconds):
            response = transport.handle_request(request)
            response.close()
    except httpx.HTTPError as error:
        return classify_transport_error("webhook", error).error.problem
    except httpx.InvalidURL:
        return "the webhook's URL is invalid"
    return None if response.is_success else f"the webhook responds with HTTP {response.status_code}"
