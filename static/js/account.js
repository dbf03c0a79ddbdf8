// Signing in and up: passkeys say what is wrong, and a new account knows its time zone.

const problem = document.getElementById("passkey-problem");

function say(text) {
  if (!problem) return;
  problem.textContent = text;
  problem.hidden = false;
}

// Passkeys belong to a name: no browser makes one for a bare address.
const isAddress = /^[\d.]+$|:/.test(location.hostname.replace(/[[\]]/g, ""));
const isLocal = /^127\.|^::1$/.test(location.hostname.replace(/[[\]]/g, ""));
const hasPasskeys = "PublicKeyCredential" in window && !isAddress;
for (const button of document.querySelectorAll("[data-passkey]")) button.hidden = !hasPasskeys;
if (document.querySelector("#mfa_webauthn_add") && !hasPasskeys) {
  const named = `http://localhost:${location.port}`;
  say(isLocal ? `Passkeys work at ${named}, not at ${location.host}.` : "This browser cannot use passkeys here.");
}

// allauth's script reports what went wrong, a dialog that was closed included.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const name = event.detail.exception?.name;
  if (name === "InvalidStateError") say("This device has a passkey for your account already.");
  else if (name === "NotAllowedError") say("That was cancelled, or took too long. Try again.");
  else say("The passkey could not be used. Try again, or sign in another way.");
});

for (const field of document.querySelectorAll("input[data-time-zone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}

// On a phone the places lie side by side: the one that is open shall be in sight.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
