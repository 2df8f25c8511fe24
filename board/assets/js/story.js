// The session's story: when it began, saved, was lost and recovered, and ended, how fast it went and what it waited for.

const story = {
  run: "",

  show(panel) {
    this.panel = panel;
    this.drawn = null;
    this.refresh();
  },

  async refresh() {
    const candidates = runs.shown((run) => run.story > 0);
    if (candidates.length === 0) return put(this.panel, nothing(emptyReason("stories in the shown runs")));
    if (!candidates.some((run) => run.name === this.run)) this.run = candidates[0].name;
    const wanted = JSON.stringify([this.run, runs.find(this.run).story, candidates.map((run) => run.name), isDark()]);
    if (wanted === this.drawn) return;
    this.drawn = wanted;
    try {
      const { entries, first_wall: first, last_wall: last } = await ask("/api/story", { run: this.run });
      if (this.drawn === wanted) this.paint(candidates, entries, first, last);
    } catch (error) {
      put(this.panel, h("p", { class: "error" }, error.message));
    }
  },

  paint(candidates, entries, first, last) {
    const paces = entries.filter((entry) => entry.said.story === "pace");
    const hooks = entries.filter((entry) => entry.said.story === "hooks").at(-1);
    const said = entries.filter((entry) => !["pace", "hooks"].includes(entry.said.story));
    put(this.panel, [
      h("div", { class: "bar" }, runPicker(candidates, this.run, (run) => {
        this.run = run;
        this.refresh();
      }), h("span", { class: "dim" }, `${moment(first)} to ${moment(last)} · ${seconds(last - first)}`)),
      h("section", { class: "card wide" }, h("header", {}, h("h3", {}, "Timeline")), this.timeline(said, paces, first, last)),
      h("div", { class: "cards" },
        paces.length > 0 && h("section", { class: "card" }, h("header", {}, h("h3", {}, "Where the time went")), this.where(paces)),
        hooks && h("section", { class: "card" }, h("header", {}, h("h3", {}, "Cost of hooks")), this.costs(hooks.said.timings))),
      h("section", { class: "card wide" }, h("header", {}, h("h3", {}, "Events")), this.list(said, first)),
    ]);
  },

  /** A sign, a class and words for each kind of entry. */
  words(said) {
    const name = (path) => (path ? cutName(String(path).split("/").pop()) : "");
    switch (said.story) {
      case "started": return ["▶", "good", `A session began at step ${said.step}`];
      case "start": return ["▶", "dim", "Writers begin here; what was written for later steps before is dropped"];
      case "restored": {
        const rejected = said.rejected?.length ? `; rejected before: ${said.rejected.map((one) => `${name(one.checkpoint)} (${one.error})`).join(", ")}` : "";
        return ["↺", "good", `Restored ${said.variables} variables from ${name(said.checkpoint)}${rejected}`];
      }
      case "checkpoint": return ["●", "save", `Saved ${name(said.checkpoint)}`];
      case "failed": return ["✗", "bad", `Failed: ${said.error}`];
      case "recovered": {
        const lost = said.step_before !== null && said.step_after !== null ? `, ${said.step_before - said.step_after} steps lost` : "";
        return ["✚", "warn", `Recovered after ${said.attempts} attempt${said.attempts === 1 ? "" : "s"}${said.checkpoint ? ` from ${name(said.checkpoint)}` : ""}${lost}; the cause: ${said.cause}`];
      }
      case "ended": return ["■", "dim", `Ended by ${said.source}${said.reason ? `: ${said.reason}` : ""}`];
      case "stop": return ["■", "dim", "A session ended"];
      default: return ["·", "dim", `${said.message || said.story}`];
    }
  },

  timeline(entries, paces, first, last) {
    const [width, height, side] = [1000, 128, 24];
    const span = Math.max(1e-3, last - first);
    const x = (wall) => side + ((wall - first) / span) * (width - 2 * side);
    const root = s("svg", { class: "timeline", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Timeline of ${entries.length} events over ${seconds(span)}; the list below has the same` });
    const most = Math.max(...paces.map((pace) => pace.said.runs / pace.said.seconds), 1e-9);
    // The rate behind the events, with the part of the time that waited for input.
    for (const pace of paces) {
      const rate = pace.said.runs / pace.said.seconds;
      if (!Number.isFinite(rate)) continue;
      const [from, to, tall] = [x(Math.max(first, pace.wall - pace.said.seconds)), x(pace.wall), (rate / most) * 54];
      const wait = tall * (pace.said.input_wait || 0);
      root.append(s("rect", { class: "rate", x: from, y: 92 - tall, width: Math.max(1, to - from - 1), height: tall }, s("title", {}, `${short(rate)} steps/s, ${percent(pace.said.input_wait || 0)} of the steps' time waited for input`)));
      if (wait > 0.5) root.append(s("rect", { class: "wait", x: from, y: 92 - wait, width: Math.max(1, to - from - 1), height: wait }));
    }
    root.append(s("line", { class: "axis", x1: side, x2: width - side, y1: 92, y2: 92 }));
    for (let mark = 0; mark <= 5; mark += 1) root.append(s("text", { class: "tick", x: x(first + (span * mark) / 5), y: 112, "text-anchor": mark === 0 ? "start" : mark === 5 ? "end" : "middle" }, seconds((span * mark) / 5)));
    for (const entry of entries.slice(-2000)) {
      const [sign, kind, text] = this.words(entry.said);
      const low = entry.said.story === "checkpoint" || entry.said.story === "start";
      root.append(s("g", { class: `event ${kind}` }, s("title", {}, `step ${entry.step}, ${moment(entry.wall)}: ${text}`), !low && s("line", { x1: x(entry.wall), x2: x(entry.wall), y1: 26, y2: 92 }), low ? s("circle", { cx: x(entry.wall), cy: 92, r: entry.said.story === "start" ? 2.5 : 4.5 }) : s("text", { x: x(entry.wall), y: 20, "text-anchor": "middle" }, sign)));
    }
    if (paces.length > 0) root.append(s("text", { class: "tick", x: width - side, y: 124, "text-anchor": "end" }, `bars: steps per second, up to ${short(most)}; orange: waiting for input`));
    return h("div", { class: "scroll" }, root);
  },

  where(paces) {
    const sum = (key) => paces.reduce((total, pace) => total + (pace.said[key] || 0), 0);
    const all = sum("seconds");
    const inRuns = sum("in_runs");
    const waited = paces.reduce((total, pace) => total + (pace.said.input_wait || 0) * pace.said.in_runs, 0);
    const between = sum("between_runs");
    const parts = [["computing", inRuns - waited, "compute"], ["waiting for input", waited, "wait"], ["between runs", between, "between"], ["other", Math.max(0, all - inRuns - between), "other"]].filter(([, time]) => time > all * 0.0005);
    const bar = h("div", { class: "shares", role: "img", "aria-label": parts.map(([name, time]) => `${name} ${percent(time / all)}`).join(", ") }, parts.map(([, time, kind]) => h("span", { class: kind, style: { flexGrow: String(time) } })));
    return h("div", {}, bar, h("dl", { class: "legend" }, parts.map(([name, time, kind]) => [h("dt", {}, h("span", { class: `swatch ${kind}` }), name), h("dd", {}, `${seconds(time)} · ${percent(time / all)}`)])), h("p", { class: "note dim" }, `${whole(sum("runs"))} runs in ${seconds(all)}: ${short(sum("runs") / all)} steps per second`));
  },

  costs(timings) {
    const sorted = [...timings].sort((a, b) => b.seconds - a.seconds);
    const most = Math.max(...sorted.map((timing) => timing.seconds), 1e-12);
    return h("table", { class: "data costs" }, h("tbody", {}, sorted.map((timing) => h("tr", {}, h("th", { scope: "row" }, cutName(timing.hook)), h("td", { class: "number" }, seconds(timing.seconds)), h("td", { class: "number dim" }, percent(timing.share)), h("td", { class: "barred" }, h("span", { style: { width: `${(timing.seconds / most) * 100}%` } }))))));
  },

  list(entries, first) {
    const rows = entries.slice(-1000).toReversed().map((entry) => {
      const [sign, kind, text] = this.words(entry.said);
      return h("li", { class: kind, "data-story": entry.said.story }, h("span", { class: "sign", "aria-hidden": "true" }, sign), h("time", { title: moment(entry.wall) }, seconds(entry.wall - first)), h("span", { class: "step" }, `step ${whole(entry.step)}`), h("span", { class: "what" }, visible(text)));
    });
    return h("ol", { class: "story", reversed: true }, rows);
  },
};
