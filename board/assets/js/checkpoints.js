// The checkpoints of a run, their tensors, and how these are distributed.

const checkpoints = {
  run: "",
  open: new Set(),
  verified: new Map(),

  show(panel) {
    this.panel = panel;
    this.drawn = null;
    this.refresh();
  },

  async refresh() {
    const candidates = runs.shown((run) => run.checkpoints);
    if (candidates.length === 0) return put(this.panel, nothing(emptyReason("checkpoints in the shown runs")));
    if (!candidates.some((run) => run.name === this.run)) this.run = candidates[0].name;
    try {
      const answer = await ask("/api/checkpoints", { run: this.run });
      const wanted = JSON.stringify([this.run, answer, candidates.map((run) => run.name)]);
      if (wanted === this.drawn) return;
      this.drawn = wanted;
      this.paint(candidates, answer);
    } catch (error) {
      put(this.panel, h("p", { class: "error" }, error.message));
    }
  },

  paint(candidates, answer) {
    const badge = (text, kind, title) => h("span", { class: `badge ${kind}`, title }, text);
    const rows = answer.checkpoints.toReversed().flatMap((row) => {
      const key = `${this.run}\n${row.name}`;
      const verdict = h("span", { class: "verdict" }, this.verified.get(key) || "");
      const verify = h("button", { type: "button", class: "quiet", disabled: embedded !== null, title: embedded ? "not in a saved page" : "Reads all of it and compares the checksums", onclick: () => this.verify(row.name, verdict, verify) }, "Verify");
      const place = h("td", { colspan: 7 });
      const inner = h("tr", { class: "inner", hidden: true }, place);
      const toggleRow = () => {
        inner.hidden = !inner.hidden;
        opener.setAttribute("aria-expanded", !inner.hidden);
        opener.textContent = inner.hidden ? "▸" : "▾";
        if (inner.hidden) this.open.delete(key);
        else {
          this.open.add(key);
          this.tensors(row.name, place);
        }
      };
      const opener = h("button", { type: "button", class: "icon", "aria-expanded": "false", "aria-label": `Tensors of ${cutName(row.name)}`, onclick: toggleRow }, "▸");
      const badges = [
        row.newest && badge("newest", "good", "The state file names it as the newest"),
        row.kept && !row.newest && badge("kept", "", "The state file lists it"),
        !row.kept && badge("not listed", "dim", "The state file does not list it"),
        row.best && badge("best", "gold", "Saved as the best"),
        row.pinned && badge("pinned", "gold", "Never deleted"),
        row.session_state && badge("exact resume", "", "With random state, input position and the hooks' state"),
        row.error && badge("damaged", "bad", row.error),
      ];
      const line = h("tr", {}, h("td", {}, opener), h("th", { scope: "row" }, cutName(row.name), h("div", { class: "badges" }, badges)), h("td", { class: "number" }, row.step === null ? "–" : whole(row.step)), h("td", {}, row.wall === null ? "–" : moment(row.wall)), h("td", { class: "number" }, bytes(row.bytes)), h("td", { class: "number" }, row.metric === null ? "–" : short(toNumber(row.metric))), h("td", {}, verify, verdict));
      if (this.open.has(key)) queueMicrotask(toggleRow);
      return [line, inner];
    });
    const heads = ["", "checkpoint", "step", "saved", "size", "metric", "check"];
    put(this.panel, [
      h("div", { class: "bar" }, runPicker(candidates, this.run, (run) => {
        this.run = run;
        this.refresh();
      }), h("span", { class: "dim" }, `${answer.checkpoints.length} checkpoints, ${bytes(answer.checkpoints.reduce((sum, row) => sum + row.bytes, 0))}`)),
      answer.problem && h("p", { class: "error" }, answer.problem),
      answer.gone.length > 0 && h("p", { class: "error" }, `Listed in the state file, but not there: ${answer.gone.map(cutName).join(", ")}`),
      rows.length === 0 ? nothing("There are no checkpoints yet.") : h("div", { class: "scroll card" }, h("table", { class: "data checkpoints" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows))),
    ]);
  },

  async verify(name, verdict, button) {
    button.disabled = true;
    verdict.textContent = "reading…";
    try {
      const { tensors, unknown, problems } = await ask("/api/verify", { run: this.run, name });
      const unverified = unknown === 0 ? "" : `, ${unknown} of unknown dtypes are not verified`;
      const text = problems.length === 0 ? `✓ ${tensors} tensors are intact${unverified}` : `✗ ${problems.map((problem) => `${problem.tensor || "checkpoint"}: ${problem.error}`).join("; ")}`;
      this.verified.set(`${this.run}\n${name}`, text);
      verdict.textContent = text;
      verdict.className = `verdict ${problems.length === 0 ? "good" : "bad"}`;
    } catch (error) {
      verdict.textContent = error.message;
      verdict.className = "verdict bad";
    }
    button.disabled = false;
  },

  async tensors(name, place) {
    try {
      const { tensors, count } = await ask("/api/checkpoint", { run: this.run, name });
      const rows = tensors.map((tensor) => {
        const picture = h("td", { class: "distribution" });
        const look = h("button", { type: "button", class: "quiet", onclick: () => this.distribution(name, tensor.name, picture) }, "Look");
        if (tensor.known) picture.append(look);
        else picture.append(h("span", { class: "dim" }, "values of this dtype cannot be shown"));
        return h("tr", {}, h("th", { scope: "row" }, cutName(tensor.name)), h("td", {}, tensor.dtype), h("td", {}, `[${tensor.shape.join(", ")}]`), h("td", { class: "number" }, bytes(tensor.bytes)), picture);
      });
      put(place, h("table", { class: "data tensors" }, h("caption", { class: "dim" }, tensors.length < count ? `${tensors.length} of ${count} tensors` : `${count} tensors`), h("thead", {}, h("tr", {}, ["tensor", "dtype", "shape", "size", "distribution"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)));
    } catch (error) {
      put(place, h("p", { class: "error" }, error.message));
    }
  },

  async distribution(name, tensor, place) {
    try {
      const answer = await ask("/api/tensor", { run: this.run, name, tensor });
      if (answer.text !== undefined) return put(place, h("pre", {}, visible(answer.text)));
      const most = Math.max(...answer.counts, 1);
      const bar = 200 / Math.max(1, answer.counts.length);
      const bars = answer.counts.map((count, index) => s("rect", { x: index * bar, y: 44 - (44 * count) / most, width: Math.max(0.5, bar - 0.4), height: (44 * count) / most }));
      const odd = [answer.nan && `${answer.nan} NaN`, answer.infinite && `${answer.infinite} infinite`, answer.zeros && `${percent(answer.zeros / answer.elements)} zeros`].filter(Boolean);
      put(place, s("svg", { class: "bars", viewBox: "0 0 200 44", role: "img", "aria-label": `Distribution of ${cutName(tensor)}: ${short(answer.from)} to ${short(answer.to)}` }, bars),
        h("div", { class: "dim" }, `${short(answer.from)} … ${short(answer.to)} · mean ${short(answer.mean)} · std ${short(answer.std)}${odd.length ? ` · ${odd.join(", ")}` : ""}`));
    } catch (error) {
      put(place, h("p", { class: "error" }, error.message));
    }
  },
};
