// Shows the page anew when what it says of the laptop has changed, unless somebody is typing in it.
"use strict";
const key = document.body.dataset.key;
async function look() {
  try {
    const answer = await fetch("/state", { cache: "no-store" });
    if (answer.status === 403) { location.reload(); return; }
    const state = await answer.json();
    const typing = [...document.querySelectorAll("input:not([type=hidden])")].some((i) => i === document.activeElement || (i.type === "checkbox" ? i.checked : i.value !== i.defaultValue));
    if (location.pathname === "/" && state.key !== key && !typing) { location.reload(); return; }
  } catch { /* the laptop's service rests; it comes back */ }
  setTimeout(look, 2000);
}
setTimeout(look, 2000);
