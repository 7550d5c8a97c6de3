// Keeps the page current: fetches the part marked with data-refresh again and swaps it in while the page is visible.
// The pages are whole without this script; it only saves the reader a reload.

const EVERY_MS = 2000;
const part = document.querySelector("[data-refresh]");
const live = document.getElementById("live");

function say(state) {
  if (live) {
    live.textContent = state;
    live.dataset.state = state;
  }
}

async function refresh() {
  const answer = await fetch(part.dataset.refresh, { credentials: "same-origin", redirect: "manual" });
  if (answer.type === "opaqueredirect") {
    location.href = "/login";
    return false;
  }
  if (!answer.ok) throw new Error(String(answer.status));
  const log = part.querySelector(".log");
  const followed = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  const focused = document.activeElement?.getAttribute?.("href");
  part.innerHTML = await answer.text();
  const fresh = part.querySelector(".log");
  if (fresh && followed) fresh.scrollTop = fresh.scrollHeight;
  if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  return !part.querySelector("[data-final]");
}

async function loop() {
  let goOn = true;
  if (!document.hidden && !String(getSelection())) {
    try {
      goOn = await refresh();
      say(goOn ? "live" : "ended");
    } catch {
      say("no connection");
    }
  }
  if (goOn) setTimeout(loop, Number(part.dataset.every) || EVERY_MS);
}

if (part) setTimeout(loop, Number(part.dataset.every) || EVERY_MS);
