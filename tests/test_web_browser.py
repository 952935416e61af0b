"""The page in a real browser: no errors, no requests elsewhere, accessible on every screen, and kept up to date."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import Engine

from etl.embedded import Server
from etl.ops.metrics import Metrics
from etl.runtime.urls import Listen
from etl.web.http_server import serving
from tests.harness import Harness, make_harness
from tests.many_sources import fill
from tests.postgres import engine_copy

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture
def harness(db: Engine) -> Harness:
    """A warehouse with a gap, a failure, a quarantine, drift, and two sources that were never synced."""
    harness = make_harness(db, None, "V14")
    for name in ("ringg", "ravan"):
        harness.sync(name)
    now = harness.clock.now()
    harness.execute("UPDATE ops.coverage SET starts_at = :at WHERE source = 'ringg'", at=now - timedelta(days=3))
    harness.execute("INSERT INTO ops.coverage VALUES ('ringg', '', '2015-01-01', :at)", at=now - timedelta(days=4))
    harness.execute(
        "INSERT INTO ops.runs (source, kind, status, started_at, finished_at, owner, error)"
        " SELECT 'ringg', 'sync', CASE WHEN i < 3 THEN 'failed' ELSE 'succeeded' END, :now - i * interval '5 min',"
        " :now - i * interval '5 min', 'x', repeat('a-long-word-without-a-break-', 9)"
        " FROM generate_series(30, 0, -1) i", now=now + timedelta(seconds=9),
    )  # fmt: skip
    harness.execute(
        "INSERT INTO ops.quarantine (source, digest, reason, payload, first_seen_at, last_seen_at)"
        " SELECT 'ringg', i::text::bytea, 'the record has no usable id', repeat('x', 500)::bytea, :now, :now"
        " FROM generate_series(1, 12) i", now=now,
    )  # fmt: skip
    harness.execute(
        "INSERT INTO ops.daily_checks (source, day, status, missing_count, checked_at)"
        " SELECT 'ringg', '2025-04-20'::date + i,"
        " (ARRAY['verified', 'count_match', 'incomplete', 'unknown'])[1 + i % 4], (i % 4 = 2)::int, :now"
        " FROM generate_series(0, 10) i", now=now,
    )  # fmt: skip
    return harness


class Watched:
    """A tab that records console messages, errors and requests to other servers."""

    def __init__(self, context: BrowserContext, where: str) -> None:
        self.page, self.where, self.problems = context.new_page(), where, list[str]()
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(self.where):
            self.problems.append(request.url)

    def open(self, path: str) -> Page:
        self.page.goto(self.where + path.removeprefix("/"))
        return self.page


@contextmanager
def tab(browser: Browser, harness: Harness, **given: Any) -> Iterator[Watched]:
    with serving(
        harness.dependencies(), list(harness.sources.values()), [Listen("127.0.0.1", 0)], None, Metrics()
    ) as where:
        assert where
        context = browser.new_context(**{"viewport": DESKTOP, **given})
        context.set_default_timeout(10_000)
        watched = Watched(context, where)
        yield watched
        context.close()
        assert watched.problems == []


def paths(harness: Harness) -> list[str]:
    key = harness.scalar("SELECT call_key FROM bi_pii.calls WHERE turn_count > 3 AND extra IS NOT NULL LIMIT 1")
    return ["/", "/sources/ringg", "/sources/ravan", "/calls", f"/calls/{key}", "/quarantine/1"]


FLAWS = (Path(__file__).parent / "flaws.js").read_text()


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE), ("dark", PHONE)])
def test_every_page_is_accessible_and_fits_its_screen(
    browser: Browser, harness: Harness, scheme: str, size: dict[str, int]
) -> None:
    with tab(browser, harness, color_scheme=scheme, viewport=size) as watched:
        for path in paths(harness):
            page = watched.open(path)
            page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
            assert page.evaluate(FLAWS) == [], path
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(background.removeprefix("rgb(").partition(",")[0]) < 60) == (scheme == "dark")


def test_the_page_updates_itself_and_keeps_focus_and_scroll_position(browser: Browser, harness: Harness) -> None:
    with tab(browser, harness) as watched:
        watched.page.clock.install()
        page = watched.open("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Ringg cannot be read.")
        page.locator("#table-calls summary").click()
        link = page.locator("#to-ravan")
        link.focus()
        page.evaluate("scrollTo(0, 300)")
        harness.execute("UPDATE ops.streams SET completeness = 'incomplete' WHERE source = 'ravan'")
        harness.clock.sleep(3)  # the cached results have expired
        page.clock.fast_forward(6_000)
        expect(page.locator(".card", has=link)).to_contain_text("incomplete")
        expect(link).to_be_focused()
        expect(page.locator("#table-calls")).to_have_attribute("open", "")
        assert page.evaluate("scrollY") == 300
        expect(page.get_by_role("status")).to_have_text("Ringg cannot be read, and one other source needs attention.")


def test_a_page_that_cannot_reach_the_daemon_shows_it(browser: Browser, harness: Harness) -> None:
    with tab(browser, harness) as watched:
        watched.page.clock.install()
        page = watched.open("/")
        page.route("**/*", lambda route: route.abort())
        page.clock.fast_forward(6_000)
        expect(page.locator(".indicator.lost")).to_have_count(1)
        page.unroute("**/*")
        page.clock.fast_forward(6_000)
        expect(page.locator(".indicator.live")).to_have_count(1)
        watched.problems[:] = [text for text in watched.problems if "ERR_FAILED" not in text]


def test_the_keyboard_reaches_every_control_with_a_visible_focus(browser: Browser, harness: Harness) -> None:
    with tab(browser, harness) as watched:
        page = watched.open("/")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            at = page.evaluate(
                "((at) => at !== document.body && [at.id || at.textContent.trim(), getComputedStyle(at).outlineStyle])"
                "(document.activeElement)"
            )
            if not at:
                break
            assert at[1] != "none", at
            reached.append(at[0])
        assert reached[:5] == ["Skip to content", "Callhouse", "Overview", "Calls", "Show personal data"]
        sources = ["to-ringg", "to-ravan", "to-autocalls", "to-vaani"]
        assert {*sources, "range-7", "range-30", "range-90", "days-calls", "days-outcomes"} < set(reached)
        page.locator(".skip").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") in sources


def test_the_values_of_a_day_are_read_by_pointer_finger_and_keyboard_and_survive_an_update(
    browser: Browser, harness: Harness
) -> None:
    with tab(browser, harness, has_touch=True) as watched:
        watched.page.clock.install()
        page = watched.open("/")
        readout, chart = page.locator("#readout-outcomes"), page.locator("#days-outcomes")
        days = [title.strip() for title in chart.locator("title").all_text_contents()]
        assert all(re.fullmatch(r"\w{3} \d+ \w{3}: \d+ calls?( \(.+\))?", day) for day in days)
        expect(readout).to_be_hidden()
        chart.locator(".day").nth(3).hover()
        expect(readout).to_have_text(days[3])
        page.mouse.move(0, 0)
        expect(readout).to_be_hidden()
        chart.locator(".day").nth(20).tap()
        expect(readout).to_have_text(days[20])
        chart.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        expect(readout).to_have_text(days[-2])
        assert chart.get_attribute("aria-valuetext") == days[-2]
        page.keyboard.press("ArrowRight")
        harness.execute("UPDATE warehouse.calls SET outcome = 'busy'")
        harness.clock.sleep(3)
        page.clock.fast_forward(6_000)
        expect(readout).to_contain_text("busy")
        expect(chart).to_be_focused()
        page.keyboard.press("Escape")
        expect(readout).to_be_hidden()


def test_an_open_table_leaves_its_neighbour_as_it_is_and_has_a_sum(browser: Browser, harness: Harness) -> None:
    with tab(browser, harness) as watched:
        page = watched.open("/")
        height = page.locator(".plot").nth(1).bounding_box()["height"]  # type: ignore[index]
        page.locator("#table-calls summary").click()
        stored = harness.scalar("SELECT count(*) FROM warehouse.calls WHERE created_at > '2025-04-02'")
        expect(page.locator("#table-calls tfoot td").last).to_have_text(str(stored))
        assert page.locator(".plot").nth(1).bounding_box()["height"] <= height  # type: ignore[index]


def test_a_phone_shows_each_calls_outcome_duration_and_cost_without_scrolling_sideways(
    browser: Browser, harness: Harness
) -> None:
    with tab(browser, harness, viewport={"width": 390, "height": 800}) as watched:
        page = watched.open("/calls")
        box = page.locator(".scroll")
        assert box.evaluate("(box) => box.scrollWidth <= box.clientWidth")
        row = page.locator("tbody tr", has_text="completed").first
        for shown in (row.locator(".outcome"), row.locator("td .narrow"), row.locator("td.n").last):
            expect(shown).to_be_visible()
        page = watched.open("/")
        assert page.locator(".plot").first.bounding_box()["y"] < 1100  # type: ignore[index]


@pytest.mark.parametrize("has_script", [True, False])
def test_from_the_overview_to_a_transcript(browser: Browser, harness: Harness, has_script: bool) -> None:
    turn = harness.rows(
        "SELECT call_key, text, coalesce(customer_name, '') AS name FROM bi_pii.transcript_turns"
        " JOIN bi_pii.calls USING (call_key) ORDER BY length(text) DESC LIMIT 1"
    )[0]
    # the search of transcripts leaves the customer's name out
    words = [word for word in turn["text"].split() if word.strip(".,?!").lower() not in turn["name"].lower().split()]
    with tab(browser, harness, java_script_enabled=has_script, viewport=PHONE) as watched:
        page = watched.open("/")
        page.get_by_role("link", name="ringg").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("ringg")
        expect(page.locator(".gaps", has_text="gap: ")).to_be_visible()
        page.get_by_role("button", name="Retry all").click()
        expect(page.get_by_role("heading", name="Quarantine")).to_be_visible()
        page.get_by_role("link", name="Calls", exact=True).click()
        page.get_by_label("Phone number, name, agent, call id, or words from the transcript").fill(" ".join(words[:6]))
        page.get_by_role("button", name="Search").click()
        page.locator(f"a[href='/calls/{turn['call_key']}']").click()
        assert turn["text"] not in page.content()
        page.get_by_role("button", name="Show personal data").click()
        expect(page.locator(".turns")).to_contain_text(turn["text"])
        page.get_by_role("button", name="Hide personal data").click()
        assert turn["text"] not in page.content()


@pytest.fixture(scope="module")
def many(server: Server, template: str) -> Iterator[Harness]:
    """A thousand sources, twenty in each state but one; read only."""
    with engine_copy(server, template) as made:
        harness = make_harness(made)
        harness.sources = {source.name: source for source in fill(made, harness.clock.now(), 1000, runs=6)}
        yield harness


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)])
def test_a_thousand_sources_are_accessible_fit_the_screen_and_are_few_bytes(
    browser: Browser, many: Harness, scheme: str, size: dict[str, int]
) -> None:
    with tab(browser, many, color_scheme=scheme, viewport=size) as watched:
        for path in (
            "/",
            "/?days=90",
            "/?q=acme&state=up+to+date&page=2",
            "/?q=nothing",
            "/calls",
            "/sources/acme-0001",
        ):
            page = watched.open(path)
            assert page.evaluate(FLAWS) == [], path
            assert len(page.content().encode()) < 300_000, path


@pytest.mark.parametrize("has_script", [True, False])
def test_one_of_a_thousand_sources_is_found(browser: Browser, many: Harness, has_script: bool) -> None:
    with tab(browser, many, java_script_enabled=has_script, viewport=PHONE) as watched:
        page = watched.open("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("100 of 1,000 sources need attention.")
        expect(page.locator(".sources tbody tr")).to_have_count(25)
        expect(page.locator(".sources tbody tr").first).to_contain_text("paused")
        page.get_by_role("link", name="failing 20").click()
        expect(page.locator(".sources tbody tr")).to_have_count(20)
        page.get_by_role("searchbox").fill("RAVAN acme")
        page.get_by_role("button", name="Search").click()
        expect(page.locator(".states")).to_contain_text("all 125")
        expect(page.locator(".sources tbody tr")).to_have_count(5)
        page.get_by_role("link", name="up to date").click()
        page.get_by_role("link", name="Next").click()
        expect(page.locator(".pages")).to_contain_text("page 2 of 4")
        page.locator(".sources a").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("acme-"))
        page.get_by_role("link", name="Calls", exact=True).click()
        page.get_by_label("Source").fill("acme-0001")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("caption")).to_have_text("20 calls, newest first")
        page.get_by_label("Source").fill("acme")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("caption")).to_have_text("2,400 calls, newest first")


def test_a_search_of_sources_survives_an_update(browser: Browser, many: Harness) -> None:
    with tab(browser, many) as watched:
        watched.page.clock.install()
        page = watched.open("/?state=failing")
        page.get_by_role("searchbox").fill("aco")
        link = page.locator("#to-acme-0001")
        link.focus()
        many.clock.sleep(60)
        page.clock.fast_forward(6_000)
        expect(page.locator(".sources tbody tr").first).to_contain_text("16 min ago")
        expect(link).to_be_focused()
        expect(page.get_by_role("searchbox")).to_have_value("aco")
