// Asking the server, or the data that came with the page.

const embedded = byId("data") ? JSON.parse(byId("data").textContent) : null;

/** Parameters that only say how much is wanted are no part of what names an answer in a page with its data. */
const AMOUNTS = new Set(["points", "count", "from", "to", "axis"]);

function keyOf(path, parameters) {
  const named = Object.entries(parameters).filter(([name, value]) => !AMOUNTS.has(name) && value !== "");
  return [path, ...named.map(([name, value]) => `${name}=${value}`).sort()].join("\n");
}

function urlOf(path, parameters) {
  const named = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  return named.length ? `${path}?${new URLSearchParams(named)}` : path;
}

/** An answer as JSON. Fails with what the server says is wrong. */
async function ask(path, parameters = {}) {
  if (embedded) {
    const answer = embedded[keyOf(path, parameters)];
    if (answer === undefined) throw new Error("this is not part of the saved page");
    return answer;
  }
  const response = await fetch(urlOf(path, parameters));
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** Where a picture or sound is; nothing if it did not fit into a saved page. */
function mediaUrl(path, parameters) {
  return embedded ? embedded[keyOf(path, parameters)] : urlOf(path, parameters);
}

/** A number of an answer, which has those that JSON lacks as strings. */
const toNumber = (value) => (typeof value === "string" ? Number(value) : value);

/** What the user chose, kept for the next visit where the browser allows it. */
const settings = (() => {
  const usual = { tab: "", smoothing: 0.6, axis: "step", log: false, theme: "", hidden: {}, ridges: "ridges", runFilter: "", tagFilter: "" };
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem("monitored-board") || "{}");
  } catch (_) {
    // A page in a file, or storage that is off.
  }
  const all = { ...usual, ...kept };
  return {
    get: (name) => all[name],
    set(name, value) {
      all[name] = value;
      try {
        localStorage.setItem("monitored-board", JSON.stringify(all));
      } catch (_) {
        // Then it lasts as long as the page.
      }
    },
  };
})();

/** A regular expression that the user is typing: nothing until it is one. */
function pattern(text) {
  try {
    return new RegExp(text, "i");
  } catch (_) {
    return null;
  }
}
