"""Airflow: the DAGs of ``deploy/airflow``, tried in a real one."""
