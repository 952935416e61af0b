"""Several sources at once, each in its own thread; an error of one leaves the others alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from etl.model import Source
from etl.runtime.clock import Stopped
from etl.sync.run import RunDependencies, RunFunction, RunResult, run_source

MAX_PARALLEL_SOURCES = 8


class Interrupted(Exception):
    """The process was asked to stop; every source has committed what it had read."""


def run_all(deps: RunDependencies, sources: Sequence[Source], kind: str, work: RunFunction) -> list[RunResult]:
    """Run the same work by hand on several sources at once → their results, in the order of the sources.

    Raises errors of the configuration, or :class:`Interrupted`, once all are done.
    """
    with ThreadPoolExecutor(min(MAX_PARALLEL_SOURCES, len(sources)) or 1, thread_name_prefix="source") as threads:
        futures = [threads.submit(run_source, deps, source, kind, work, is_manual=True) for source in sources]
    try:
        return [future.result() for future in futures]
    except Stopped:
        raise Interrupted("stopped; what was read is kept, and the same command goes on from here") from None
