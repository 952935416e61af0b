"""Questions, dashboards and models on the views of ``bi``, each tried with the real tool on a sandbox."""
