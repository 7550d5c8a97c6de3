// Keeps the page current: fetches the part marked with data-refresh again and changes what differs, node by node, so
// that focus, scrolling, selection and what the reader has opened stay as they are. The pages are whole without it.

const EVERY_MS = 2000;
const ANSWER_MS_MAX = 10000;
const part = document.querySelector("[data-refresh]");
const live = document.getElementById("live");

function say(state) {
  if (!live || live.textContent === state) return;
  live.hidden = false;
  live.textContent = state;
  live.dataset.state = state;
}

const keyOf = (node) => node.dataset?.key;

function isLike(node, wanted) {
  return node && node.nodeName === wanted.nodeName && keyOf(node) === keyOf(wanted);
}

function matchAttributes(node, wanted) {
  for (const { name } of [...node.attributes]) {
    const isReaders = name === "open" && node.nodeName === "DETAILS";
    if (!wanted.hasAttribute(name) && !isReaders) node.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
}

function match(node, wanted) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.nodeValue !== wanted.nodeValue) node.nodeValue = wanted.nodeValue;
    return;
  }
  matchAttributes(node, wanted);
  matchChildren(node, wanted);
}

// Children with a key keep their node as long as the key is there; the others are matched by place.
function matchChildren(node, wanted) {
  const wantedKeys = new Set([...wanted.children].map(keyOf));
  const kept = new Map();
  for (const child of [...node.children]) {
    const key = keyOf(child);
    if (key === undefined) continue;
    if (wantedKeys.has(key)) kept.set(key, child);
    else child.remove();
  }
  let place = node.firstChild;
  for (const child of [...wanted.childNodes]) {
    const known = kept.get(keyOf(child)) ?? (isLike(place, child) ? place : null);
    if (!known) {
      node.insertBefore(child, place);
      continue;
    }
    if (known === place) place = place.nextSibling;
    else node.insertBefore(known, place);
    match(known, child);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function isAtEnd(log) {
  return !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
}

function toEnd() {
  const log = part.querySelector("[data-follow]");
  if (log) log.scrollTop = log.scrollHeight;
}

function show(text) {
  const isFollowed = isAtEnd(part.querySelector(".log[tabindex]"));
  const focused = document.activeElement;
  matchChildren(part, new DOMParser().parseFromString(text, "text/html").body);
  if (isFollowed) toEnd();
  if (focused && !focused.isConnected) document.getElementById("main").focus({ preventScroll: true });
}

// Whether there is more to come.
async function refresh() {
  const answer = await fetch(part.dataset.refresh, {
    credentials: "same-origin",
    redirect: "manual",
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  });
  if (answer.type === "opaqueredirect") {
    location.href = "/login";
    return false;
  }
  if (answer.status === 404) {
    location.reload();
    return false;
  }
  if (!answer.ok) throw new Error(String(answer.status));
  show(await answer.text());
  return !part.querySelector("[data-final]");
}

async function turn() {
  let isMoreToCome = true;
  if (!document.hidden) {
    try {
      isMoreToCome = await refresh();
      say(isMoreToCome ? "live" : "ended");
    } catch {
      say("no connection");
    }
  }
  if (isMoreToCome) setTimeout(turn, Number(part.dataset.every) || EVERY_MS);
}

if (part) {
  say("live");
  toEnd();
  setTimeout(turn, Number(part.dataset.every) || EVERY_MS);
}
