// The page as it is → the page as it would be now, every few seconds; focus, scroll and what was opened stay.
"use strict";

const seconds = Number(document.body.dataset.every);
const beat = document.getElementById("beat");

function keepOpen(old, fresh) {
  for (const each of old.querySelectorAll("details[id]")) {
    const same = fresh.querySelector("#" + CSS.escape(each.id));
    if (same) same.open = each.open;
  }
}

function scrolled(part) {
  return [...part.querySelectorAll(".wide")].map((each) => each.scrollLeft);
}

function exchange(old, fresh) {
  if (old.innerHTML === fresh.innerHTML) return;
  keepOpen(old, fresh);
  const places = scrolled(old);
  const inside = old.contains(document.activeElement) ? document.activeElement : null;
  const again = inside && inside.id ? fresh.querySelector("#" + CSS.escape(inside.id)) : null;
  if (inside && !again) return; // whoever reads there is not to lose the place
  old.replaceWith(fresh);
  fresh.querySelectorAll(".wide").forEach((each, place) => { each.scrollLeft = places[place] || 0; });
  if (again) again.focus({ preventScroll: true });
}

async function update() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = now.getElementById(old.id);
    if (fresh) exchange(old, document.adoptNode(fresh));
  }
  const spoken = document.getElementById("spoken");
  const said = now.getElementById("spoken");
  if (spoken && said && spoken.dataset.said !== said.dataset.said) {
    spoken.dataset.said = said.dataset.said; // only what is news is read aloud
    spoken.textContent = said.dataset.said;
  }
  document.title = now.title;
  document.getElementById("as-of").replaceWith(document.adoptNode(now.getElementById("as-of")));
}

async function tick() {
  if (document.visibilityState === "visible") {
    try {
      await update();
      beat.className = "beat live";
    } catch {
      beat.className = "beat lost";
      document.getElementById("as-of").dataset.lost = "yes";
    }
  }
  setTimeout(tick, seconds * 1000);
}

if (seconds) {
  beat.className = "beat live";
  setTimeout(tick, seconds * 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") update().catch(() => { beat.className = "beat lost"; });
  });
}
