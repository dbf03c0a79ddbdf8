// What every page does a little better with JavaScript; all of it works, more plainly, without.

// A menu closes when one clicks elsewhere or presses Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// <button data-copy="ID">: copies the text of that element and says so.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText((source.value ?? source.textContent).trim());
  } catch {
    const selection = getSelection();
    selection.selectAllChildren(source);
    return;
  }
  const said = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = said), 1500);
});
// Buttons that only work with JavaScript are hidden until it runs.
for (const each of document.querySelectorAll("[data-js]")) each.hidden = false;

// On a narrow screen the navigation of a workspace is a strip: the page one is on is in sight, and the page stays put.
const strip = document.querySelector(".side");
if (strip && strip.scrollWidth > strip.clientWidth) {
  strip.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
}
