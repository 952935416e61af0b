"""Alerts: evaluated from the sync state, stored until resolved, delivered once when opened and once when resolved."""
