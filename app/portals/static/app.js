// Forms say that they are being sent, and ask first where a page wants it. Everything works without this file.
"use strict";

document.addEventListener("submit", (event) => {
  const form = event.target;
  const question = form.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    return;
  }
  for (const button of form.querySelectorAll("button[type=submit]")) {
    button.setAttribute("aria-busy", "true");
    setTimeout(() => { button.disabled = true; }, 0);
  }
});

// A page out of the browser's back-forward cache shows its buttons as they were left: disabled.
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[aria-busy]")) {
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }
});

document.addEventListener("change", (event) => {
  const box = event.target;
  if (!box.matches("[data-check-all]")) return;
  for (const each of box.closest("form").querySelectorAll(`input[name="${box.dataset.checkAll}"]:enabled`)) each.checked = box.checked;
});

// A menu stays open until another one opens or something else is touched.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
