"""A process killed at any request or commit: no call is lost or duplicated, and few requests are repeated."""

import httpx
import pytest
from sqlalchemy import Engine, event

from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.world import World
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    InterceptingTransport,
    counts_add_up,
    differences,
    kill,
    make_harness,
    requests_of,
    run_killed_at,
    run_until_killed,
)

SIZE = 7  # calls a page
PAGES_A_BATCH = 2  # at twelve requests a minute, and a commit every ten seconds
HEAD = 4  # pages of the newest week, which every manual run may read again
TRANSCRIPTS_A_BATCH = 50


def make_slow_harness(db: Engine, order: str = "desc") -> Harness:
    world = World(6, calls=60, order=order, now=NOW, phones=("+918040000001", "+918040000002"))
    return make_harness(db, world, f"G12:size={SIZE}", requests_per_minute=12)


def of_list(harness: Harness, name: str, phone: str) -> list[SimulatedCall]:
    """What a list shows, oldest first."""
    calls = harness.world.calls(name)
    return [call for call in calls if not phone or phone in (call.caller, call.callee)]


def covered_calls(harness: Harness, name: str) -> set[str]:
    """The calls that must be stored by what coverage and checkpoints claim."""
    promised = set()
    for row in harness.rows("SELECT * FROM ops.coverage WHERE source = :source", source=name):
        calls = of_list(harness, name, row["partition"])
        promised |= {call.call_id for call in calls if row["starts_at"] <= call.created_at < row["ends_at"]}
    for row in harness.rows("SELECT * FROM ops.checkpoints WHERE source = :source", source=name):
        calls, at = of_list(harness, name, row["partition"]), row["resume_point"]
        behind = at["position"] if name == "ringg" else (at["position"] - 1) * SIZE
        done = calls[behind + SIZE :] if at["order"] == "asc" else calls[::-1][:behind]
        if name == "ringg":  # the window was narrowed during the scan, and positions count within it
            done = [call for call in calls if call.created_at.isoformat() > at["end"]]
        promised |= {call.call_id for call in done}
    return promised


def assert_every_call_is_stored_once(harness: Harness, name: str, requests: int) -> None:
    """Assert what holds after a crash and one more run; ``requests`` is what a run without a crash takes."""
    assert covered_calls(harness, name) <= harness.stored_ids(name)
    left = harness.rows("SELECT status FROM ops.runs WHERE status <> 'succeeded'")
    harness.sync(name)
    assert differences(harness, name) == []
    assert counts_add_up(harness)
    assert harness.scalar("SELECT count(*) FROM ops.checkpoints") == 0
    again = len(requests_of(harness, name)) - requests
    assert again <= HEAD + (PAGES_A_BATCH + 2) * (len(harness.sources[name].partitions) or 1)
    statuses = [row["status"] for row in harness.rows("SELECT status FROM ops.runs ORDER BY run_id")]
    assert statuses == ["interrupted"] * len(left) + ["succeeded"] * (len(statuses) - len(left))


def clean_run(name: str, order: str) -> int:
    """How many requests a run without a crash takes; oldest first it has to find the end of the list."""
    return {"desc": {"ravan": 10}, "asc": {"ravan": 14}}[order].get(name, 9 if order == "desc" else 11)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 8, 9])
@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_killed_at_a_request(db: Engine, name: str, order: str, at: int) -> None:
    harness = make_slow_harness(db, order)
    killed = run_killed_at(harness, name, at)
    assert killed or len(requests_of(harness, name)) < at
    assert_every_call_is_stored_once(harness, name, clean_run(name, order))


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(2, 14, 2))
@pytest.mark.parametrize("name", ["ringg", "vaani"])
def test_killed_at_a_commit(db: Engine, name: str, at: int, done: bool) -> None:
    harness = make_slow_harness(db)
    commits = 0

    def committing(connection: object) -> None:
        nonlocal commits
        commits += 1
        if commits == at and not done:
            kill(harness)

    def executing(*_: object) -> None:
        nonlocal commits
        if commits == at and done:
            commits += 1
            kill(harness)

    event.listen(db, "commit", committing)
    event.listen(db, "begin", executing)
    run_until_killed(harness, name)
    event.remove(db, "commit", committing)
    event.remove(db, "begin", executing)
    assert_every_call_is_stored_once(harness, name, clean_run(name, "desc"))


@pytest.mark.parametrize("at", [3, 30, 60, 80])
def test_killed_among_transcripts(db: Engine, at: int) -> None:
    harness = make_harness(db, World(6, calls=130, now=NOW))
    assert run_killed_at(harness, "vaani", at)
    before = {path.path for path in requests_of(harness, lists=False)}
    harness.sync("vaani")
    assert differences(harness, "vaani") == []
    every = [path.path for path in requests_of(harness, lists=False)]
    assert len(before) > 0
    assert len(every) - len(set(every)) <= TRANSCRIPTS_A_BATCH


def test_a_crash_while_calls_arrive_and_are_deleted_loses_none(db: Engine) -> None:
    world = World(6, calls=60, now=NOW)
    harness = make_harness(db, world, f"G12:size={SIZE}", "G02:every=2", "G03:every=3", requests_per_minute=12)

    def perhaps_kill(count: int, request: httpx.Request) -> None:
        if count % 6 == 0 and count < 30:
            kill(harness)

    harness.transport = InterceptingTransport(harness.transport, perhaps_kill)
    for _ in range(4):
        assert run_until_killed(harness, "vaani")
    harness.transport = SandboxTransport(world)
    harness.sync("vaani")
    listed = {call.call_id for call in world.calls("vaani")}
    assert listed <= harness.stored_ids("vaani")


@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", ["ringg", "ravan", "vaani"])
def test_after_crashes_without_a_stored_page_pages_are_smaller_until_a_run_gets_on(
    db: Engine, name: str, order: str
) -> None:
    """The page may be why: one that takes all memory is not asked for again and again."""
    world = World(6, calls=260, order=order, now=NOW, phones=("+918040000001",))
    harness = make_harness(db, world, requests_per_minute=12)  # a batch has two pages
    param = {"ringg": "limit"}.get(name, "page_size")

    def crash(at: int) -> list[int]:
        """Kill the run at this request of a list; the page sizes that it asked for."""
        sizes: list[int] = []
        sandbox = harness.transport

        def before(_: int, request: httpx.Request) -> None:
            if param in request.url.params:
                sizes.append(int(request.url.params[param]))
                if len(sizes) == at:
                    kill(harness)

        harness.transport = InterceptingTransport(sandbox, before)
        run_until_killed(harness, name)
        harness.transport = sandbox
        return sizes

    size = crash(1)[0]
    assert crash(1) == [size]  # one kill costs nothing
    assert crash(1) == [size // 2]
    assert crash(1) == [size // 4]
    last = crash(1)[0]
    assert last < size // 4
    crash(5)  # which has stored pages
    harness.sync(name)
    assert differences(harness, name) == []
    assert crash(1000)[0] == size
    assert harness.scalar("SELECT bool_and(page_size IS NULL) FROM ops.streams")
