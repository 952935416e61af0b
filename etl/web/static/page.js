// Reloads the parts of the page marked data-live every few seconds; focus, scroll position and open details are kept.
"use strict";

const seconds = Number(document.body.dataset.refreshSeconds);
const indicator = document.getElementById("indicator");

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
  if (old.innerHTML === fresh.innerHTML) return;
  keepOpen(old, fresh);
  const positions = scrollPositions(old);
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const same = focused && focused.id ? fresh.querySelector("#" + CSS.escape(focused.id)) : null;
  if (focused && !same) return; // the focus would be lost
  old.replaceWith(fresh);
  fresh.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = positions[index] || 0; });
  if (same) same.focus({ preventScroll: true });
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
