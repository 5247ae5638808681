// Live: when something has changed, the page is fetched again and its content put in place of the old one. Without this file
// every page is the same, and a reload shows what is new.
"use strict";

const PAUSE = 1000; // milliseconds between two looks, however much happens
let due = false, looking = false;

const live = document.getElementById("live");
const source = new EventSource("/events");
source.onopen = () => { live.textContent = "live"; };
source.onerror = () => { live.textContent = "not live: the server does not answer"; };
for (const name of ["changed", "reset"]) source.addEventListener(name, () => { due = true; look(); });

async function look() {
  if (looking || !due || document.hidden) return;
  looking = true;
  due = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { live.textContent = "not live: the server does not answer"; }
  setTimeout(() => { looking = false; look(); }, PAUSE);
}

function show(fresh) {
  const main = document.getElementById("main"), next = fresh.getElementById("main");
  if (next === null || main.innerHTML === next.innerHTML) return;
  const asked = document.activeElement, typing = main.contains(asked) && asked.matches("input, select");
  if (typing) { due = true; return; } // nothing is taken from under somebody's fingers
  const open = [...main.querySelectorAll("details")].map((each) => each.open);
  const focus = main.contains(asked) ? asked.getAttribute("href") : null;
  const at = window.scrollY;
  main.replaceChildren(...next.childNodes);
  main.querySelectorAll("details").forEach((each, index) => { each.open = open[index] ?? false; });
  if (focus !== null) main.querySelector(`[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  window.scrollTo({ top: at });
}

document.addEventListener("visibilitychange", look);
