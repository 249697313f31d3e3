// Shows the page anew when what it says of the laptop has changed, unless somebody is typing in it.
"use strict";
const { key, at } = document.body.dataset;
async function look() {
  try {
    const answer = await fetch(at + "state", { cache: "no-store" });
    if (answer.status === 403) { location.reload(); return; }
    const state = await answer.json();
    const typing = [...document.querySelectorAll("input:not([type=hidden])")].some((i) => i === document.activeElement || (i.type === "checkbox" ? i.checked : i.value !== i.defaultValue));
    if (location.pathname === at && state.key !== key && !typing) { location.reload(); return; }
  } catch { /* the laptop's service rests; it comes back */ }
  setTimeout(look, 2000);
}
setTimeout(look, 2000);
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
// Goes on when the laptop has been approved.
const waits = document.querySelector("form[data-wait]");
async function approved() {
  try {
    const answer = await fetch(at + "code/wait", { method: "POST", body: new URLSearchParams(new FormData(waits)), cache: "no-store" });
    const now = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.redirected || !now.querySelector("form[data-wait]")) { location.href = at; return; }
  } catch { /* the laptop's service rests; it comes back */ }
  setTimeout(approved, 2000);
}
if (waits) setTimeout(approved, 1000);
