"""Superset: datasets, charts and dashboards on ``bi``, as a bundle to import."""
