"""Several sources at once, each in a thread of its own; what becomes of one does not touch the others."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from sqlalchemy.exc import SQLAlchemyError

from etl.db.engine import DatabaseProblem, describe
from etl.model import Source
from etl.runtime.clock import Stopped
from etl.runtime.crash_report import one_line, stack
from etl.state.registry import SourceMismatch
from etl.sync.run import ProgressCallback, RunDependencies, RunFunction, RunResult, run_source

MAX_PARALLEL_SOURCES = 8

log = logging.getLogger("etl.sync.parallel")


class Interrupted(Exception):
    """Somebody asked the process to end; every source has written what it had."""


def run_all(
    deps: RunDependencies,
    sources: Sequence[Source],
    kind: str,
    work: RunFunction,
    say: ProgressCallback,
    *,
    by_hand: bool = True,
) -> list[RunResult]:
    """Run the same work on every source; their reports in the order of the sources.

    Raises what is wrong with the configuration, or :class:`Interrupted`, once the others are done.
    """
    with ThreadPoolExecutor(min(MAX_PARALLEL_SOURCES, len(sources)) or 1, thread_name_prefix="source") as threads:
        futures = [threads.submit(run_source, deps, source, kind, work, say, by_hand=by_hand) for source in sources]
        wait(futures)
    return [_report(source, kind, future) for source, future in zip(sources, futures, strict=True)]


def _report(source: Source, kind: str, future: Future[RunResult]) -> RunResult:
    try:
        return future.result()
    except Stopped:
        raise Interrupted("stopped; what was read is kept, and the same command goes on from here") from None
    except (SourceMismatch, DatabaseProblem):
        raise
    except Exception as error:  # what nobody foresaw of one source does not take the others' reports away
        return failed(source, kind, error)


def failed(source: Source, kind: str, error: BaseException) -> RunResult:
    """The report of a run that ended with an error which it did not know."""
    log.debug("stack trace:\n%s", stack(error))
    said = describe(error) if isinstance(error, SQLAlchemyError) else one_line(error)
    return RunResult(source.name, kind, status="failed", error=f"{source.name}: {said}")
