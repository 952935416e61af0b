"""A secret address and a body → posted, or what went wrong in words that do not show the address."""

import httpx

from etl.client.status_policy import classify_transport_error
from etl.runtime.secret import Secret

SECONDS = 10.0


def post(url: Secret, body: bytes) -> str | None:
    """Post JSON to a webhook; ``None`` where it was taken. It is not followed elsewhere, and its answer is not read."""
    headers = {"Content-Type": "application/json", "User-Agent": "callhouse"}
    timeout = {"timeout": httpx.Timeout(SECONDS).as_dict()}
    try:
        request = httpx.Request("POST", url.reveal(), content=body, headers=headers, extensions=timeout)
        # the transport alone: a client would log the address
        with httpx.HTTPTransport(trust_env=False) as transport:
            response = transport.handle_request(request)
            response.close()
    except httpx.HTTPError as error:
        return classify_transport_error(error).problem
    except httpx.InvalidURL:
        return "the webhook's address makes no URL"
    return None if response.is_success else f"the webhook answers HTTP {response.status_code}"
