"""Grafana: a dashboard on PostgreSQL, beside the one on Prometheus that shows how Callhouse itself is."""
