"""An alert → the JSON body of a webhook: Slack's format for Slack, one field for each part elsewhere."""

import json
from urllib.parse import urlsplit

from etl.ops.alerts.alert_store import AlertRecord
from etl.runtime.secret import Secret

SLACK = "hooks.slack.com"


def message(record: AlertRecord, url: Secret) -> bytes:
    """The body to post: a JSON object whose ``text`` is complete by itself."""
    text = _text(record)
    parts = urlsplit(url.reveal())
    if parts.hostname == SLACK or parts.path.endswith("/slack"):
        return json.dumps({"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}).encode()
    return json.dumps(
        {
            "text": text,
            "status": "firing" if record.resolved_at is None else "resolved",
            "alert": record.alert.kind,
            "source": record.alert.source,
            "message": record.alert.message,
            "hint": record.alert.hint,
            "opened_at": record.opened_at.isoformat(),
            "resolved_at": record.resolved_at.isoformat() if record.resolved_at else None,
        }
    ).encode()


def _text(record: AlertRecord) -> str:
    alert = record.alert
    if record.resolved_at is None:
        return f"Callhouse, {alert.source}: {alert.kind}. {alert.message}. What to do: {alert.hint}."
    since = f"{record.opened_at:%Y-%m-%d %H:%M} UTC"
    return f"Callhouse, {alert.source}: {alert.kind} is resolved. It was open since {since}: {alert.message}."
