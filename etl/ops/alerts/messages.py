"""An episode → the bytes that a webhook takes: Slack's form for Slack, and one with every part by itself elsewhere."""

import json
from urllib.parse import urlsplit

from etl.ops.alerts.alert_store import AlertRecord
from etl.runtime.secret import Secret

SLACK = "hooks.slack.com"


def message(episode: AlertRecord, url: Secret) -> bytes:
    """What is posted: a JSON object whose ``text`` says it all."""
    text = _text(episode)
    parts = urlsplit(url.reveal())
    if parts.hostname == SLACK or parts.path.endswith("/slack"):
        return json.dumps({"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}).encode()
    return json.dumps(
        {
            "text": text,
            "status": "standing" if episode.resolved_at is None else "over",
            "alert": episode.alert.kind,
            "source": episode.alert.source,
            "said": episode.alert.message,
            "do": episode.alert.hint,
            "began_at": episode.opened_at.isoformat(),
            "ended_at": episode.resolved_at.isoformat() if episode.resolved_at else None,
        }
    ).encode()


def _text(episode: AlertRecord) -> str:
    alert = episode.alert
    if episode.resolved_at is None:
        return f"Callhouse, {alert.source}: {alert.kind}. {alert.message}. To do: {alert.hint}."
    since = f"{episode.opened_at:%Y-%m-%d %H:%M} UTC"
    return f"Callhouse, {alert.source}: {alert.kind} is over. It stood since {since}: {alert.message}."
