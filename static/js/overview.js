// Shows anew, every 10 seconds while the page can be seen, who is there and who waits for whom.

const EVERY = 10_000;
const PATIENCE = 8_000;
const place = document.getElementById("presence");
const said = document.getElementById("presence-said");
const button = document.getElementById("presence-pause");
let isPaused = false;
let isAsking = false;

async function refresh() {
  if (isPaused || isAsking || document.hidden || isInUse()) return;
  isAsking = true;
  try {
    const answer = await fetch(place.dataset.url, { redirect: "error", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!isInUse()) place.replaceChildren(...fresh.body.childNodes);
    say("Refreshes every 10 seconds.");
  } catch {
    say("Not up to date: the server does not answer. Trying again.");
  } finally {
    isAsking = false;
  }
}

// Nothing is taken away from under a keyboard or a selection.
function isInUse() {
  const selection = getSelection();
  return (
    place.contains(document.activeElement) || (!selection.isCollapsed && place.contains(selection.anchorNode))
  );
}

function say(text) {
  if (said.textContent !== text) said.textContent = text;
}

if (place) {
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? "Go on" : "Pause";
    say(isPaused ? "Paused." : "Refreshes every 10 seconds.");
    refresh();
  });
}
