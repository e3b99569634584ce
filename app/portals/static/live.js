// <div data-live="alert movement" data-alert="/api/v1/…/stream" data-movement="…"> follows event streams by the names of their events;
// each <… data-on="alert" data-fragment="/…"> inside is shown anew at every event that it names.
// Events only wake: what is shown always comes from the server whole, so a missed one loses nothing.
"use strict";

const RELOAD_AFTER_MS = 5000;
const live = document.querySelector("[data-live]");
const state = document.querySelector("[data-stream-state]");
const unopened = new Set(live.dataset.live.split(" "));
const shows = new Map();

const keepShown = (part) => {
  let asked = false, busy = false;
  return async () => {
    if (busy) { asked = true; return; }
    busy = true;
    do {
      asked = false;
      try {
        const answer = await fetch(part.dataset.fragment, { headers: { "HX-Request": "true" } });
        if (answer.headers.has("HX-Redirect")) { location.assign(answer.headers.get("HX-Redirect")); return; }
        if (answer.ok) part.innerHTML = await answer.text();
      } catch { asked = false; }
    } while (asked);
    busy = false;
  };
};

for (const part of live.querySelectorAll("[data-fragment]")) {
  const show = keepShown(part);
  for (const name of part.dataset.on.split(" ")) shows.set(name, [...(shows.get(name) || []), show]);
}

for (const name of live.dataset.live.split(" ")) {
  const source = new EventSource(live.dataset[name]);
  const showAll = () => { for (const show of shows.get(name) || []) show(); };
  let lost = false;
  source.onopen = () => {
    unopened.delete(name);
    if (state && unopened.size === 0) state.dataset.streamState = "open";
    if (lost) showAll();
    lost = false;
  };
  source.onerror = () => {
    lost = true;
    unopened.add(name);
    if (state) state.dataset.streamState = "waiting";
    // The browser has given up: signed out, or the service is not there.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), RELOAD_AFTER_MS);
  };
  source.addEventListener(name, showAll);
  window.addEventListener("pagehide", () => source.close());
}
