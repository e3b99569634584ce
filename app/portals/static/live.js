// <section data-stream="/api/v1/…/stream" data-fragment="/…"> shows its fragment anew at every event of the stream.
// The stream only wakes: what is shown always comes from the server whole, so a missed event loses nothing.
"use strict";

for (const section of document.querySelectorAll("[data-stream]")) {
  const state = document.querySelector("[data-stream-state]");
  let asked = false, busy = false;

  const show = async () => {
    if (busy) { asked = true; return; }
    busy = true;
    do {
      asked = false;
      try {
        const answer = await fetch(section.dataset.fragment, { headers: { "HX-Request": "true" } });
        if (answer.headers.has("HX-Redirect")) { location.assign(answer.headers.get("HX-Redirect")); return; }
        if (answer.ok) section.innerHTML = await answer.text();
      } catch { asked = false; }
    } while (asked);
    busy = false;
  };

  const source = new EventSource(section.dataset.stream);
  let opened = false;
  source.onopen = () => {
    if (state) state.dataset.streamState = "open";
    if (opened) show();
    opened = true;
  };
  source.onerror = () => { if (state) state.dataset.streamState = "waiting"; };
  source.addEventListener(section.dataset.event || "message", show);
  window.addEventListener("pagehide", () => source.close());
}
