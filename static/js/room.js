// An open channel: new messages appear by themselves, older ones load as one scrolls up, writing keeps its text.
// Without this file the page is complete as it was asked for, and its links and form work.

const room = document.getElementById("room");
const lines = document.getElementById("lines");
const status = document.getElementById("live");
const statusText = document.getElementById("live-text");
const jump = document.getElementById("jump");
const news = document.getElementById("news");
const form = document.querySelector("form.write");
const LINES_MOST = 1000;
const LINES_KEPT = 800;

let last = Number(room.dataset.last);
let isAtEnd = room.dataset.newer !== "true";
let unseen = 0;

// --- the lines ---

const isNearEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 160;
const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight });

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

// Between two messages of one day nothing tells the day: what comes in pieces brings its own line for it.
function tidyDays() {
  let day = "";
  for (const each of [...lines.children]) {
    if (!each.classList.contains("day")) day = each.dataset.day;
    else if (each.dataset.day === day) each.remove();
  }
}

function noteUnseen(count) {
  unseen = count;
  jump.hidden = count === 0;
  jump.textContent = count === 1 ? "1 new message" : `${count} new messages`;
}

// Keep a page that is open for days from growing without end; what goes can be loaded again.
function prune() {
  const messages = lines.querySelectorAll(".line");
  if (messages.length <= LINES_MOST) return;
  const first = messages[messages.length - LINES_KEPT];
  while (lines.firstElementChild !== first) lines.firstElementChild.remove();
  offerOlder(first.dataset.id);
}

function add(messages) {
  const wasNearEnd = isNearEnd();
  let added = 0;
  for (const message of messages) {
    if (message.id <= last) continue;
    lines.append(parsed(message.html));
    last = message.id;
    added += 1;
  }
  if (!added) return;
  document.getElementById("nothing").hidden = true;
  tidyDays();
  const newest = messages[messages.length - 1];
  news.textContent = added === 1 ? `New message from ${newest.by}` : `${added} new messages, the last from ${newest.by}`;
  if (wasNearEnd) {
    prune();
    toEnd();
  } else {
    noteUnseen(unseen + added);
  }
}

function showRoom(state) {
  document.getElementById("state").innerHTML = state.html;
  document.getElementById("waiting").innerHTML = state.waiting;
  for (const place of lines.querySelectorAll("[data-claim]")) {
    const claim = state.claims[place.dataset.claim] ?? "";
    if (place.innerHTML.trim() !== claim.trim()) place.innerHTML = claim;
  }
  for (const id of ["paused-head", "paused-note"]) document.getElementById(id).hidden = !state.is_paused;
  switchButton("pause", state.is_paused, ["pause", "Pause: agents cannot write"], ["resume", "Resume: let agents write"]);
  switchButton("archive", state.is_archived, ["archive", "Archive"], ["unarchive", "Bring back from the archive"]);
}

function switchButton(id, isOn, off, on) {
  const button = document.getElementById(id);
  if (button) [button.value, button.textContent] = isOn ? on : off;
}

function showReplies(counts) {
  for (const [id, text] of Object.entries(counts)) {
    for (const link of lines.querySelectorAll(`[data-replies="${id}"]`)) {
      link.textContent = text;
      link.hidden = false;
    }
  }
}

jump.addEventListener("click", () => {
  noteUnseen(0);
  toEnd();
});
addEventListener("scroll", () => unseen && isNearEnd() && noteUnseen(0), { passive: true });

// --- older and newer stretches: the page that the link leads to, for its lines ---

async function stretch(link) {
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) load(entry.target);
  },
  { rootMargin: "600px 0px" },
);

async function load(link) {
  if (link.dataset.loading) return;
  link.dataset.loading = "true";
  seen.unobserve(link);
  try {
    const page = await stretch(link);
    if (link.id === "older") addOlder(page, link);
    else addNewer(page, link);
  } catch {
    delete link.dataset.loading; // the link still works by hand
  }
}

function freshLines(page) {
  return [...page.getElementById("lines").children].filter((each) => !each.id || !document.getElementById(each.id));
}

function addOlder(page, link) {
  const fromEnd = document.documentElement.scrollHeight - scrollY;
  lines.prepend(...freshLines(page));
  tidyDays();
  const next = page.getElementById("older");
  if (next) link.href = next.href;
  else link.parentElement.remove();
  scrollTo({ top: document.documentElement.scrollHeight - fromEnd, behavior: "instant" });
  delete link.dataset.loading;
  if (next) seen.observe(link);
}

function addNewer(page, link) {
  const there = page.getElementById("room").dataset;
  lines.append(...freshLines(page));
  tidyDays();
  last = Math.max(last, Number(there.last));
  const next = page.getElementById("newer");
  delete link.dataset.loading;
  if (next) {
    link.href = next.href;
    seen.observe(link);
    return;
  }
  link.parentElement.remove();
  isAtEnd = true;
  connect();
}

function offerOlder(id) {
  let link = document.getElementById("older");
  if (!link) {
    const place = document.createElement("p");
    place.className = "stretch";
    place.innerHTML = '<a id="older" rel="prev">Older messages</a>';
    lines.before(place);
    link = place.firstChild;
  }
  link.href = `${location.pathname}?before=${id}`;
  seen.observe(link);
}

// --- the socket ---

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
const SILENCE = 60_000; // the server says something every 25 seconds
const FINAL = {
  4401: "You are signed out or no longer in this workspace. Reload the page.",
  4403: "This workspace is suspended.",
  4404: "This channel is no longer here.",
  4429: "Too many pages are open. Close one and reload this one.",
};

let socket = null;
let tries = 0;
let again = 0;
let silence = 0;
let isOver = false;

function say(kind, text) {
  status.className = `live ${kind}`;
  statusText.textContent = text;
}

function connect() {
  clearTimeout(again);
  if (socket || isOver || !isAtEnd) return;
  const url = new URL(room.dataset.live, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("after", last);
  socket = new WebSocket(url);
  socket.addEventListener("message", take);
  socket.addEventListener("close", lost);
  listenFor();
}

function listenFor() {
  clearTimeout(silence);
  const mine = socket;
  silence = setTimeout(() => {
    // One that is dead may take minutes to say so.
    if (socket !== mine) return;
    forget(mine);
    mine.close();
    retry();
  }, SILENCE);
}

function forget(old) {
  old.removeEventListener("message", take);
  old.removeEventListener("close", lost);
  if (socket === old) socket = null;
}

function take(event) {
  const said = JSON.parse(event.data);
  tries = 0;
  listenFor();
  say("is-live", "Live");
  if (said.messages) add(said.messages);
  if (said.replies) showReplies(said.replies);
  if (said.room) showRoom(said.room);
  event.target.send(JSON.stringify({ seq: said.seq }));
}

function lost(event) {
  clearTimeout(silence);
  forget(event.target);
  if (FINAL[event.code]) {
    isOver = true;
    say("is-lost", FINAL[event.code]);
    return;
  }
  retry();
}

function retry() {
  say("", navigator.onLine ? "Reconnecting" : "Offline");
  const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tries);
  tries += 1;
  clearTimeout(again);
  again = setTimeout(connect, pause / 2 + (Math.random() * pause) / 2);
}

addEventListener("online", connect);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && connect());

// --- writing ---

function writing() {
  const text = form.elements.content;
  const type = form.querySelector("select");
  const error = document.getElementById("write-error");
  const replying = document.getElementById("replying");
  const draft = `draft:${location.pathname}`;
  const count = document.getElementById("write-count");
  const most = Number(text.dataset.most);
  let isSending = false;
  let isStale = false;

  // Counted as the server counts: a sign beyond the first plane is one.
  const excess = () => (text.value.length > most && [...text.value].length > most ? [...text.value].length : 0);

  function showCount() {
    const length = excess();
    count.textContent = length
      ? `Too long to send: ${length.toLocaleString("en")} characters of at most ${most.toLocaleString("en")}.`
      : "";
  }

  function keep() {
    try {
      sessionStorage.setItem(draft, text.value);
    } catch {
      // More than a browser stores: it is still in the box.
    }
  }

  text.value ||= sessionStorage.getItem(draft) ?? "";
  showCount();
  text.addEventListener("input", () => {
    keep();
    showCount();
    error.textContent = "";
  });

  function replyTo(id) {
    const line = document.getElementById(`m${id}`);
    form.elements.in_reply_to.value = id ?? "";
    replying.hidden = !id;
    if (!id) return;
    const sender = line.querySelector(".sender").textContent;
    document.getElementById("replying-to").textContent = `Reply to #${id} by ${sender}`;
    if (type.value === "message" && line.querySelector(".type.is-request")) type.value = "response";
    text.focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-reply]");
    const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey);
    if (link && isPlain) {
      event.preventDefault();
      replyTo(link.dataset.reply);
    } else if (event.target.closest("#unreply")) {
      event.preventDefault();
      replyTo(null);
      text.focus();
    }
  });

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit(document.getElementById("send"));
    } else if (event.key === "Escape" && !replying.hidden) {
      replyTo(null);
    }
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isSending) return;
    error.textContent = text.value.trim() ? "" : "Write something first.";
    if (error.textContent || excess()) {
      text.focus();
      return;
    }
    isSending = true;
    form.setAttribute("aria-busy", "true");
    try {
      await send(new FormData(form, event.submitter));
    } catch {
      error.textContent = "Not sent: there is no connection. The text is kept; sent again it is stored once.";
    } finally {
      isSending = false;
      form.removeAttribute("aria-busy");
    }
  });

  // The sentence of a refusal; the address of the plans in it is a link.
  function refusal({ error: sentence, upgrade_url: address }) {
    const [before, after] = address ? sentence.split(address) : [];
    if (after === undefined) return [sentence];
    const link = document.createElement("a");
    link.href = address;
    link.textContent = "the billing page";
    return [before, link, after];
  }

  const SIGNED_OUT = "Not sent: you are signed out. Sign in again in another tab, then send once more.";

  // Whoever signed in again has a new token, which this page does not hold yet. Returns whether nobody is signed in.
  async function renew(body) {
    const answer = await fetch(form.action, { headers: { Accept: "text/html" } });
    if (answer.redirected) return true;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.querySelector("form.write [name=csrfmiddlewaretoken]")?.value;
    if (!token) return false;
    form.elements.csrfmiddlewaretoken.value = token;
    body.set("csrfmiddlewaretoken", token);
    isStale = false;
    return false;
  }

  // Only an answer that names the message, or says what is wrong, is one: a sign-in page can be JSON too.
  async function understood(answer) {
    if (answer.redirected) return null;
    const said = await answer.json().catch(() => null);
    return (answer.ok ? Number.isInteger(said?.id) : typeof said?.error === "string") ? said : null;
  }

  async function send(body) {
    if (isStale && (await renew(body))) {
      error.textContent = SIGNED_OUT;
      return;
    }
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    const said = await understood(answer);
    if (!said) {
      isStale = true;
      keep();
      error.textContent = answer.redirected
        ? SIGNED_OUT
        : "Not sent: something went wrong. The text is kept; send once more, or reload the page.";
      return;
    }
    if (said.key) form.elements.key.value = said.key;
    if (!answer.ok) {
      error.replaceChildren(...refusal(said));
      text.focus();
      return;
    }
    text.value = "";
    sessionStorage.removeItem(draft);
    type.value = "message";
    replyTo(null);
    text.focus();
    if (isAtEnd) {
      isOver = false; // whoever may write here again may read here again
      connect();
      toEnd();
    } else {
      location.assign(`${form.action}#m${said.id}`);
    }
  }
}

if (form?.elements.content) writing();

// --- where one begins ---

const isToWrite = ["", "#write", "#id_content"].includes(location.hash);
if (isAtEnd && isToWrite && !location.search) toEnd();
for (const id of ["older", "newer"]) {
  const link = document.getElementById(id);
  if (link) requestAnimationFrame(() => seen.observe(link));
}
connect();
if (!isAtEnd) say("", "Earlier messages");
