"""A run as it starts or ends → its OpenLineage event: the provider's list is the input, tables are the outputs."""

import os
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
from openlineage.client.event_v2 import RunState as ClientState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    OutputDatasetFacet,
    RunFacet,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    schema_dataset,
)
from openlineage.client.uuid import generate_static_uuid
from sqlalchemy import URL, Table

from etl import __version__
from etl.db import tables
from etl.db.engine import server_of
from etl.extractors import providers
from etl.loader.batch import Counts
from etl.model import PageRequest, Source, Window
from etl.runtime.redaction import Redaction

RunState = Literal["START", "COMPLETE", "FAIL", "ABORT"]

PRODUCER = f"urn:callhouse:{__version__}"


class RunMoment(NamedTuple):
    """A run as it starts or ends."""

    state: RunState
    at: datetime
    started_at: datetime
    source: Source
    kind: str
    run_id: int  # of ops.runs
    counts: Counts = Counts()
    error: str | None = None


def run_event(moment: RunMoment, database: URL) -> RunEvent:
    """The event; it holds names and numbers of ours, and no data of a call."""
    namespace, source, counts = os.environ.get("OPENLINEAGE_NAMESPACE", "callhouse"), moment.source, moment.counts
    job_type = job_type_job.JobTypeJobFacet("BATCH", "CALLHOUSE", moment.kind.upper(), producer=PRODUCER)
    run_id = generate_static_uuid(moment.started_at, f"{namespace}/{database.database}/{moment.run_id}".encode())
    written = {tables.calls: counts.inserted + counts.updated, tables.ops_history.quarantine: counts.quarantined}
    loaded = (tables.calls, tables.transcripts, tables.changes, tables.payloads, tables.ops_history.quarantine)
    return RunEvent(
        eventType=ClientState[moment.state],
        eventTime=moment.at.isoformat(),
        run=Run(str(run_id), _error(moment)),
        job=Job(namespace, f"{source.name}.{moment.kind}", {"jobType": job_type}),
        producer=PRODUCER,
        inputs=[_payloads(database) if moment.kind == "replay" else _list(source, counts.received)],
        outputs=[_output(table, database, written.get(table)) for table in loaded],
    )


def _error(moment: RunMoment) -> dict[str, RunFacet]:
    if not moment.error:
        return {}
    message = Redaction([moment.source.api_key])(moment.error)
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "Python", producer=PRODUCER)}


def _list(source: Source, received: int) -> InputDataset:
    """A provider's list: its origin, and its path without the query."""
    request = PageRequest(source, Window(datetime.now(UTC), datetime.now(UTC)), 1, 1)
    url = urlsplit(source.base_url + providers()[source.provider].ask(request).path)
    count = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(received, producer=PRODUCER)
    return InputDataset(f"{url.scheme}://{url.netloc}", url.path, inputFacets={"inputStatistics": count})


def _payloads(database: URL) -> InputDataset:
    return InputDataset(_server(database), _name(tables.payloads, database), facets=_schema(tables.payloads))


def _output(table: Table, database: URL, rows: int | None) -> OutputDataset:
    facets: dict[str, OutputDatasetFacet] = {}
    if rows is not None:
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rows, producer=PRODUCER)
        facets["outputStatistics"] = statistics
    return OutputDataset(_server(database), _name(table, database), facets=_schema(table), outputFacets=facets)


def _server(database: URL) -> str:
    return f"postgres://{server_of(database)}"


def _name(table: Table, database: URL) -> str:
    return f"{database.database}.{table.fullname}"


def _schema(table: Table) -> dict[str, DatasetFacet]:
    fields = [
        schema_dataset.SchemaDatasetFacetFields(column.name, str(column.type), column.comment)
        for column in table.columns
    ]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)}
