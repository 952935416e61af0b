"""PostgreSQL: connections, tables, COPY and revisions."""
