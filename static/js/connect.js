// Connect: switching clients keeps the key on the page, the status looks for the first call, a key can be tried.

const EVERY_MS = 2_000;
const FOR_MS = 30 * 60_000;

const main = document.querySelector(".connect-main");
const seen = document.getElementById("seen");
const text = document.getElementById("seen-text");
const links = document.querySelectorAll(".clients a[data-client]");
main.classList.add("led");

// --- which client is shown ---

function choose(name) {
  const card = document.getElementById(`client-${name}`);
  if (!card) return;
  for (const each of document.querySelectorAll(".client")) each.classList.toggle("chosen", each === card);
  for (const each of links) {
    if (each.dataset.client === name) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
  }
  seen.dataset.client = name;
  const waits = text.querySelector(".seen-head:not(.connected) strong");
  if (waits) waits.textContent = `Waiting for your first call from ${card.dataset.title}…`;
  seen.hidden = card.dataset.calls === "no";
  look();
}

for (const link of links) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const name = link.dataset.client;
    history.replaceState(null, "", `${location.pathname}?client=${name}`);
    choose(name);
    const card = document.getElementById(`client-${name}`);
    if (card.getBoundingClientRect().top > innerHeight * 0.75) card.scrollIntoView({ block: "start" });
  });
}
function chooseNamed() {
  if (location.hash.startsWith("#client-")) choose(location.hash.slice("#client-".length));
}
chooseNamed();
addEventListener("hashchange", chooseNamed);

// --- has it called? ---

const began = Date.now();
let timer = 0;
let asked = 0;

function stop() {
  clearTimeout(timer);
  seen.classList.remove("live");
  document.getElementById("seen-over").hidden = false;
}

async function look() {
  clearTimeout(timer);
  const turn = ++asked; // what was asked for another client is not shown for this one
  if (!seen.hidden && !document.hidden) {
    const query = new URLSearchParams({ client: seen.dataset.client, since: seen.dataset.since });
    try {
      const answer = await fetch(`${seen.dataset.url}?${query}`, { headers: { Accept: "application/json" }, redirect: "manual" });
      if (turn !== asked) return;
      if (answer.type === "opaqueredirect" || answer.status === 403 || answer.status === 404) return stop(); // no longer one's own
      if (answer.ok) show(await answer.json());
    } catch {
      // The server or the way to it is away: the next look may find it again.
    }
    if (turn !== asked) return;
  }
  if (Date.now() - began > FOR_MS) return stop();
  timer = setTimeout(look, EVERY_MS);
}

function show(found) {
  const html = found.html.trim();
  if (seen.dataset.shown === html) return; // a screen reader need not hear it again
  seen.dataset.shown = html;
  text.innerHTML = html; // rendered and escaped by the server
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && Date.now() - began <= FOR_MS) look();
});
seen.classList.add("live");
timer = setTimeout(look, EVERY_MS);

// --- what does the server make of a key? ---

const field = document.getElementById("try-key");
const button = document.getElementById("try");
const answerBox = document.getElementById("try-answer");

function say(kind, line, facts = []) {
  const notice = document.createElement("p");
  notice.className = `notice ${kind}`;
  notice.textContent = line;
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [name, value] of facts) {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value;
    list.append(dt, dd);
  }
  answerBox.replaceChildren(notice, ...(facts.length ? [list] : []));
}

const count = new Intl.NumberFormat("en");

function left({ used, limit }) {
  return limit === null ? `${count.format(used)}, no limit` : `${count.format(used)} of ${count.format(limit)}`;
}

function describe(who) {
  const kind = who.instance ? `instance key, speaks for ${who.instance} alone` : "workspace key, speaks for any instance";
  say("success", "The key works.", [
    ["Workspace", who.workspace],
    ["Key", who.key_name],
    ["Kind", who.read_only ? `${kind}; read-only` : kind],
    ["Plan", who.usage.plan],
    ["Messages this month", left(who.usage.messages)],
    ["Instances", left(who.usage.instances)],
    ["Channels", left(who.usage.channels)],
    ["Shared data, bytes", left(who.usage.data_bytes)],
  ]);
}

async function tryKey() {
  const key = field.value.trim();
  if (!key || !/^[\x21-\x7e]+$/.test(key)) return say("error", key ? "That cannot be a key: it has blanks or other characters that no key has." : "Paste a key first.");
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.url, {
      headers: { Accept: "application/json", Authorization: `Bearer ${key}` },
      credentials: "omit",
    });
    const told = await answer.json();
    if (answer.ok) describe(told);
    else say("error", `${answer.status} ${told.code}: ${told.error}`);
  } catch {
    say("error", "The server did not answer; try again.");
  } finally {
    button.disabled = false;
  }
}

button.addEventListener("click", tryKey);
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter") tryKey();
});
