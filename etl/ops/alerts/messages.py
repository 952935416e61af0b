"""Alerts of one kind and provider → the JSON body of a webhook: Slack's format for Slack, else fields."""

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from etl.ops.alerts.alert_store import AlertRecord
from etl.runtime.humanize import counted
from etl.runtime.secret import Secret

SLACK = "hooks.slack.com"
LISTED_SOURCES = 5


def message(records: Sequence[AlertRecord], url: Secret) -> bytes:
    """The body to post: a JSON object whose ``text`` is complete by itself; the first of several is the example."""
    text, first = _text(records), records[0]
    parts = urlsplit(url.reveal())
    if parts.hostname == SLACK or parts.path.endswith("/slack"):
        return json.dumps({"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}).encode()
    return json.dumps(
        {
            "text": text,
            "status": "firing" if first.resolved_at is None else "resolved",
            "alert": first.alert.kind,
            "source": first.alert.source,
            "provider": first.provider,
            "sources": [record.alert.source for record in records],
            "message": first.alert.message,
            "hint": first.alert.hint,
            "opened_at": first.opened_at.isoformat(),
            "resolved_at": first.resolved_at.isoformat() if first.resolved_at else None,
        }
    ).encode()


def _text(records: Sequence[AlertRecord]) -> str:
    first, alert = records[0], records[0].alert
    who, example = alert.source, alert.message
    if len(records) > 1:
        who = f"{counted(len(records), 'source')} of {first.provider}"
        names = ", ".join(record.alert.source for record in records[:LISTED_SOURCES])
        more = f" and {len(records) - LISTED_SOURCES:,} more" if len(records) > LISTED_SOURCES else ""
        example = f"{names}{more}; {alert.source}: {alert.message}"
    if first.resolved_at is None:
        return f"Callhouse, {who}: {alert.kind}. {example}. What to do: {alert.hint}."
    since = f"{first.opened_at:%Y-%m-%d %H:%M} UTC"
    return f"Callhouse, {who}: {alert.kind} is resolved. It was open since {since}: {example}."
