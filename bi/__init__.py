"""Questions, dashboards and models on the views of ``bi``, and DAGs: each tried with the real tool on a sandbox."""
