// Reloads the parts of the page marked data-live every few seconds; focus, scroll position and open details are kept.
// Shows the values of a chart's day to a pointer, a finger or the arrow keys.
"use strict";

const seconds = Number(document.body.dataset.refreshSeconds);
const indicator = document.getElementById("indicator");

const received = new WeakMap(); // the parts as they came, without what is open, chosen or made focusable

function makeFocusable(part) {
  received.set(part, part.innerHTML);
  for (const chart of part.querySelectorAll("svg.days")) {
    chart.setAttribute("tabindex", "0");
    chart.setAttribute("role", "slider"); // one stop of the tab key for each chart, and its days by the arrow keys
    chart.setAttribute("aria-valuemin", "1");
    chart.setAttribute("aria-valuemax", String(chart.querySelectorAll(".day").length));
  }
}

function chosenDay(chart) {
  return [...chart.querySelectorAll(".day")].findIndex((day) => day.classList.contains("chosen"));
}

function choose(chart, index) {
  const days = [...chart.querySelectorAll(".day")];
  const readout = document.getElementById(chart.id.replace("days-", "readout-"));
  days.forEach((day, at) => day.classList.toggle("chosen", at === index));
  readout.hidden = index < 0;
  if (index < 0) return;
  readout.textContent = days[index].querySelector("title").textContent;
  chart.setAttribute("aria-valuenow", String(index + 1));
  chart.setAttribute("aria-valuetext", readout.textContent);
}

function keepOpen(old, fresh) {
  for (const details of old.querySelectorAll("details[id]")) {
    const same = fresh.querySelector("#" + CSS.escape(details.id));
    if (same) same.open = details.open;
  }
}

function scrollPositions(part) {
  return [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
}

function replace(old, fresh) {
  if (received.get(old) === fresh.innerHTML) return;
  makeFocusable(fresh);
  keepOpen(old, fresh);
  const chosen = [...old.querySelectorAll("svg.days")].map((chart) => [chart.id, chosenDay(chart)]);
  const positions = scrollPositions(old);
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const same = focused && focused.id ? fresh.querySelector("#" + CSS.escape(focused.id)) : null;
  if (focused && !same) return; // the focus would be lost
  old.replaceWith(fresh);
  fresh.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = positions[index] || 0; });
  if (same) same.focus({ preventScroll: true });
  for (const [id, index] of chosen) {
    const chart = document.getElementById(id);
    if (chart && index >= 0) choose(chart, index);
  }
}

async function update() {
  const response = await fetch(location.href, { credentials: "same-origin" });
  if (!response.ok) throw new Error(String(response.status));
  const fetched = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = fetched.getElementById(old.id);
    if (fresh) replace(old, document.adoptNode(fresh));
  }
  const announcement = document.getElementById("announcement");
  const news = fetched.getElementById("announcement");
  if (announcement && news && announcement.dataset.text !== news.dataset.text) {
    announcement.dataset.text = news.dataset.text; // a screen reader reads only what has changed
    announcement.textContent = news.dataset.text;
  }
  document.title = fetched.title;
  document.getElementById("as-of").replaceWith(document.adoptNode(fetched.getElementById("as-of")));
}

async function tick() {
  if (document.visibilityState === "visible") {
    try {
      await update();
      indicator.className = "indicator live";
    } catch {
      indicator.className = "indicator lost";
      document.getElementById("as-of").dataset.lost = "yes";
    }
  }
  setTimeout(tick, seconds * 1000);
}

if (seconds) {
  indicator.className = "indicator live";
  setTimeout(tick, seconds * 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") update().catch(() => { indicator.className = "indicator lost"; });
  });
}

document.querySelectorAll("[data-live]").forEach(makeFocusable);

for (const kind of ["pointermove", "pointerdown"]) {
  document.addEventListener(kind, (event) => {
    const over = event.target.closest("svg.days");
    for (const chart of document.querySelectorAll("svg.days")) {
      if (chart === over) choose(chart, [...chart.querySelectorAll(".day")].indexOf(event.target.closest(".day")));
      else if (chosenDay(chart) >= 0 && chart !== document.activeElement) choose(chart, -1);
    }
  });
}

document.addEventListener("focusin", (event) => {
  if (event.target.matches("svg.days") && chosenDay(event.target) < 0) choose(event.target, event.target.querySelectorAll(".day").length - 1);
});

document.addEventListener("focusout", (event) => {
  if (event.target.matches("svg.days")) choose(event.target, -1);
});

document.addEventListener("keydown", (event) => {
  const chart = event.target.closest("svg.days");
  if (!chart) return;
  const last = chart.querySelectorAll(".day").length - 1;
  const at = chosenDay(chart);
  const next = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: last }[event.key];
  if (event.key === "Escape") choose(chart, -1);
  if (next === undefined) return;
  event.preventDefault();
  choose(chart, Math.min(Math.max(next, 0), last));
});
