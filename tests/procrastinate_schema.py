"""The pinned procrastinate's own tables → ``migrations/sql/queue.sql``."""

from pathlib import Path

from procrastinate.schema import SchemaManager

from etl.db import objects

FILE = objects.SQL / "queue.sql"
HEAD = """\
-- Written by `make regenerate`: procrastinate's own schema. Where another version changes it, a revision applies the
-- migrations that come with that version.
SET LOCAL search_path TO queue, pg_catalog, pg_temp;

"""
END = """
-- Ours: without it the job that is taken is compared with all that wait, which takes 0.4 s where ten thousand do.
CREATE INDEX ix_procrastinate_jobs_lock ON procrastinate_jobs (lock) WHERE status IN ('todo', 'doing');

SET LOCAL search_path TO pg_catalog, pg_temp;
"""


def written() -> str:
    """The file as the installed version of the package makes it."""
    return HEAD + SchemaManager.get_schema() + END


def write(path: Path = FILE) -> None:
    """Write the file."""
    path.write_text(written())
