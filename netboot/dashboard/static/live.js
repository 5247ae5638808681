// Live: when something has changed that a page shows, the page is fetched again and its content put in place of the old one.
// Without this file every page is the same, and a reload shows what is new.
"use strict";

const PAUSE = 1000; // milliseconds between two looks, however much happens
let due = false, looking = false;

const live = document.getElementById("live");
const source = new EventSource("/events");
source.onopen = () => { live.textContent = "live"; };
source.onerror = () => { live.textContent = "not live: the server does not answer"; };
source.addEventListener("reset", again);
source.addEventListener("changed", (event) => {
  const watched = asked("watch").split(" ").filter(Boolean);
  if (watched.length === 0 || JSON.parse(event.data).some((path) => watched.includes(path))) again();
});
for (const what of ["visibilitychange", "selectionchange", "focusout"]) document.addEventListener(what, look);
setTimeout(tick, asked("every") * 1000);
toTheEnd(document.querySelectorAll(".tail"));

function asked(what) { return document.getElementById("main").dataset[what]; } // by the page, of this script
function again() { due = true; look(); }
function tick() { again(); setTimeout(tick, asked("every") * 1000); } // what nothing but the clock has changed

function busy() { // nothing is taken from under somebody's fingers
  return document.hidden || document.activeElement.matches("main input, main select") || !getSelection().isCollapsed;
}

async function look() {
  if (looking || !due || busy()) return;
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
  if (busy()) { due = true; return; }
  if (next === null) return;
  Object.assign(main.dataset, next.dataset);
  if (main.innerHTML === next.innerHTML) return;
  const open = [...main.querySelectorAll("details")].map((each) => each.open);
  const read = [...main.querySelectorAll(".tail")].map((each) => isAtEnd(each) ? null : each.scrollTop);
  const focus = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const at = window.scrollY;
  main.replaceChildren(...next.childNodes);
  main.querySelectorAll("details").forEach((each, index) => { each.open = open[index] ?? false; });
  toTheEnd(main.querySelectorAll(".tail"), read);
  if (focus !== null) main.querySelector(`[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  window.scrollTo({ top: at });
}

function isAtEnd(log) { return log.scrollTop + log.clientHeight >= log.scrollHeight - 4; }

function toTheEnd(logs, read = []) { // but for who reads further up
  logs.forEach((log, index) => { log.scrollTop = read[index] ?? log.scrollHeight; });
}
