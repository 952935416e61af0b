"""dbt: the views of ``bi`` as sources, models, tests, exposures and semantic models, made from their comments."""
