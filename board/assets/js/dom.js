"use strict";
// Making elements. Text is always set as text, so that nothing that an event file holds becomes markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** An HTML element with attributes, listeners (`onclick`) and children. */
const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element, likewise. */
const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Replaces what an element holds. */
function put(element, ...children) {
  element.replaceChildren();
  return fill(element, null, children);
}

const byId = (id) => document.getElementById(id);

/** Tells a screen reader. */
function announce(text) {
  byId("announce").textContent = text;
}

/** Calls a function once things have been quiet for a while. */
function debounced(wait, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), wait);
  };
}

/** Calls a function when an element comes into view, and again each time it does. */
const whenVisible = (() => {
  const calls = new WeakMap();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        entry.target.isInView = entry.isIntersecting;
        if (entry.isIntersecting) calls.get(entry.target)();
      }
    },
    { rootMargin: "250px" },
  );
  return (element, call) => {
    calls.set(element, call);
    observer.observe(element);
  };
})();

/** Waits until what was drawn is on the screen; not in a tab that is hidden, which draws nothing. */
const nextFrame = () =>
  new Promise((done) => {
    if (document.hidden) done();
    else requestAnimationFrame(() => setTimeout(done));
  });

/** Gives the user a file. */
function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: url, download: name.replace(/[^\w.-]+/g, "_").slice(0, 100) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Choices of which one is on. */
function choice(label, options, current, choose) {
  const group = h("div", { class: "choice", role: "radiogroup", "aria-label": label });
  const paint = (value) => {
    for (const button of group.children) {
      const on = button.dataset.value === value;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
  };
  for (const [value, text] of options) {
    const pick = () => {
      paint(value);
      choose(value);
    };
    const button = h("button", { type: "button", role: "radio", "data-value": value, onclick: pick }, text);
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const all = [...group.children];
      const next = all[(all.indexOf(button) + step + all.length) % all.length];
      next.focus();
      next.click();
    });
    group.append(button);
  }
  paint(current);
  return group;
}

/** A switch. */
function toggle(label, on, change) {
  const box = h("input", { type: "checkbox", checked: on, onchange: () => change(box.checked) });
  return h("label", { class: "check" }, box, h("span", {}, label));
}

const nothing = (text) => h("p", { class: "empty" }, text);
