"""Several sources at once, each in its own thread; an error of one leaves the others alone."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from sqlalchemy.exc import SQLAlchemyError

from etl.db.engine import DatabaseProblem, describe
from etl.model import Source
from etl.runtime.clock import Stopped
from etl.runtime.crash_report import one_line, stack
from etl.state.registry import SourceMismatch
from etl.sync.run import RunDependencies, RunFunction, RunResult, run_source

MAX_PARALLEL_SOURCES = 8

log = logging.getLogger("etl.sync.parallel")


class Interrupted(Exception):
    """The process was asked to stop; every source has committed what it had read."""


def run_all(
    deps: RunDependencies,
    sources: Sequence[Source],
    kind: str,
    work: RunFunction,
    *,
    is_manual: bool = True,
) -> list[RunResult]:
    """Run the same work on every source → their results, in the order of the sources.

    Raises errors of the configuration, or :class:`Interrupted`, once all are done.
    """
    with ThreadPoolExecutor(min(MAX_PARALLEL_SOURCES, len(sources)) or 1, thread_name_prefix="source") as threads:
        futures = [threads.submit(run_source, deps, source, kind, work, is_manual=is_manual) for source in sources]
        wait(futures)
    return [_result(source, kind, future) for source, future in zip(sources, futures, strict=True)]


def _result(source: Source, kind: str, future: Future[RunResult]) -> RunResult:
    try:
        return future.result()
    except Stopped:
        raise Interrupted("stopped; what was read is kept, and the same command goes on from here") from None
    except (SourceMismatch, DatabaseProblem):
        raise
    except Exception as error:  # an unexpected error of one source must not lose the others' results
        return failed(source, kind, error)


def failed(source: Source, kind: str, error: BaseException) -> RunResult:
    """The result of a run that ended with an unexpected error."""
    log.debug("stack trace:\n%s", stack(error))
    message = describe(error) if isinstance(error, SQLAlchemyError) else one_line(error)
    return RunResult(source.name, kind, status="failed", error=f"{source.name}: {message}")
