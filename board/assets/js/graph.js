// The graph, scope by scope, to be moved and enlarged.

const graph = {
  run: "",
  scope: "",
  cost: "",
  metadata: "",
  chosen: "",
  /** The scopes that are opened in place. */
  opened: new Set(),
  /** The boxes as they are painted, those inside of opened scopes too, with the picture that each is of. */
  painted: [],

  show(panel) {
    this.panel = panel;
    this.bar = h("div", { class: "bar" });
    this.stage = h("div", { class: "stage", tabindex: 0, role: "group", "aria-label": "The graph. Tab goes from box to box, Enter opens a scope in place and closes it, Backspace leaves the scope, plus and minus zoom." });
    this.details = h("aside", { class: "details", "aria-label": "Details", "aria-live": "polite" });
    put(panel, this.bar, h("div", { class: "graph" }, this.stage, this.details));
    this.listen();
    Object.assign(this, { drawn: null, painting: null });
    this.refresh();
  },

  async refresh() {
    const candidates = runs.shown((run) => run.graph);
    if (candidates.length === 0) {
      this.drawn = null;
      put(this.bar);
      put(this.details);
      return put(this.stage, nothing(emptyReason("graphs in the shown runs")));
    }
    if (!candidates.some((run) => run.name === this.run)) Object.assign(this, { run: candidates[0].name, scope: "", metadata: "", cost: "", opened: new Set() });
    const wanted = JSON.stringify([this.run, this.scope, this.metadata, this.cost, isDark(), candidates.map((run) => run.name), runs.find(this.run).metadata, [...this.opened]]);
    if (wanted === this.drawn) return;
    this.drawn = wanted;
    try {
      const fetchScope = (scope) => ask("/api/graph", { run: this.run, scope, metadata: this.metadata });
      const answer = await nestedPicture(fetchScope, this.scope, (scope) => this.opened.has(scope));
      if (this.drawn !== wanted) return;
      this.answer = answer;
      // The same picture, drawn again while a run is read or with another scope open, leaves the reader where they were.
      const scope = JSON.stringify([this.run, this.scope]);
      const frame = this.painting === scope ? this.frame : null;
      const focused = this.stage.contains(document.activeElement) && document.activeElement.dataset.name;
      this.painting = scope;
      this.paintBar(candidates);
      this.paint();
      if (frame) {
        this.frame = frame;
        this.place();
      }
      if (focused) this.picture.querySelector(`.box[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    } catch (error) {
      put(this.stage, h("p", { class: "error" }, error.message));
    }
  },

  /** Opens a scope where it stands, or closes it. */
  toggle(name) {
    if (!this.opened.delete(name)) this.opened.add(name);
    this.refresh();
  },

  paintBar(candidates) {
    const parts = this.scope ? this.scope.split("/") : [];
    const crumb = (text, scope, last) => (last ? h("span", { "aria-current": "location" }, cutName(text)) : h("button", { type: "button", class: "quiet", onclick: () => this.go(scope) }, cutName(text)));
    const crumbs = [crumb("graph", "", parts.length === 0), ...parts.flatMap((part, index) => [h("span", { class: "dim", "aria-hidden": "true" }, "/"), crumb(part, parts.slice(0, index + 1).join("/"), index === parts.length - 1)])];
    const tags = runs.find(this.run).metadata;
    const costs = tags.length > 0 && [
      choice("Color", [["", "Structure"], ["nanos", "Time"], ["bytes", "Memory"]], this.cost, (cost) => {
        this.cost = cost;
        if (cost && !this.metadata) this.metadata = tags[tags.length - 1];
        if (!cost) this.metadata = "";
        this.refresh();
      }),
      this.cost && h("select", { "aria-label": "Recorded run", onchange: (event) => {
        this.metadata = event.target.value;
        this.refresh();
      } }, (embedded ? tags.slice(-1) : tags).map((tag) => h("option", { value: tag, selected: tag === this.metadata }, cutName(tag)))),
    ];
    const zoom = (label, text, by) => h("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick: by }, text);
    put(this.bar, [
      runPicker(candidates, this.run, (run) => {
        Object.assign(this, { run, scope: "", metadata: "", cost: "", opened: new Set() });
        this.refresh();
      }),
      h("nav", { class: "crumbs", "aria-label": "Scope" }, crumbs),
      ...(costs || []),
      h("span", { class: "row end" }, zoom("Larger", "+", () => this.scaleBy(0.8)), zoom("Smaller", "−", () => this.scaleBy(1.25)), zoom("Whole", "⤢", () => this.whole(Infinity)), zoom("Download as SVG", "svg", () => this.download())),
    ]);
  },

  go(scope) {
    this.scope = scope;
    this.chosen = "";
    this.refresh();
  },

  paint() {
    const { width, height, more } = this.answer;
    const root = s("svg", { class: "graph-picture", role: "presentation" });
    root.append(s("defs", {}, s("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, s("path", { d: "M0 0.8 L7 4 L0 7.2z", class: "arrow" }))));
    this.painted = [];
    const costs = (picture) => picture.boxes.flatMap((box) => (box.inner ? costs(box.inner) : [box[this.cost] || 0]));
    this.most = Math.max(...costs(this.answer), 1e-9);
    this.paintPicture(this.answer, root);
    const note = more > 0 ? h("p", { class: "note dim" }, `${more} more boxes are not drawn`) : null;
    put(this.stage, root, note);
    this.picture = root;
    this.size = { width, height };
    this.whole();
    this.summary();
  },

  /** Paints the picture of a scope, and those of opened scopes inside. */
  paintPicture(picture, parent) {
    const { boxes, edges, aside } = picture;
    const first = this.painted.length;
    boxes.forEach((box, index) => this.painted.push({ box, index, picture, first }));
    const lines = s("g", {});
    edges.forEach((edge) => {
      const d = edge.points.map(([x, y], place) => {
        if (place === 0) return `M${x} ${y}`;
        const [x0, y0] = edge.points[place - 1];
        const half = (y0 + y) / 2;
        return `C${x0} ${half} ${x} ${half} ${x} ${y}`;
      }).join("");
      const text = edge.control ? "control" : `${edge.count} tensor${edge.count === 1 ? "" : "s"}: ${edge.labels.join("; ")}`;
      lines.append(s("path", { class: edge.control ? "edge control" : "edge", d, "data-from": first + edge.from, "data-to": first + edge.to, "stroke-width": (1 + Math.log(Math.max(1, edge.count)) * 0.6).toFixed(1), "marker-end": "url(#arrow)" }, s("title", {}, `${boxes[edge.from].name} → ${boxes[edge.to].name}\n${text}`)));
    });
    parent.append(lines);
    if (aside !== null) parent.append(s("text", { class: "aside-title", x: MARGIN, y: aside + 10 }, "apart: savers, initializers, and what no tensor enters or leaves"));
    boxes.forEach((box, index) => this.paintBox(box, first + index, parent));
  },

  paintBox(box, place, parent) {
    const cost = this.cost && !box.inner ? box[this.cost] || 0 : 0;
    const fit = (text, character) => {
      const room = Math.floor((box.width - 14) / character);
      return text.length > room ? `${text.slice(0, room - 1)}…` : text;
    };
    const second = this.cost && cost > 0 ? (this.cost === "nanos" ? seconds(cost / 1e9) : bytes(Math.round(cost))) : box.second;
    const isScope = box.kind === "scope";
    const open = isScope ? () => this.toggle(box.name) : () => this.choose(place);
    const shape = { x: box.x, y: box.y, width: box.width, height: box.height, rx: isScope ? 7 : box.height / 2 };
    const kind = isScope ? "scope" : box.kind === "op" ? "operation" : "outside";
    const group = s("g", { class: `box ${box.kind}${box.inner ? " open" : ""}`, tabindex: 0, role: "button", "data-box": place, "data-name": box.name, "aria-expanded": isScope && String(Boolean(box.inner)), "aria-label": `${kind} ${cutName(box.label)}, ${second || "no output"}`,
      onclick: (event) => {
        event.stopPropagation();
        if (this.moved) return;
        if (isScope && event.detail === 0) open();
        else this.choose(place);
      },
      ondblclick: (event) => {
        event.stopPropagation();
        open();
      },
      onkeydown: (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        open();
      },
      onmouseenter: () => this.mark(place), onmouseleave: () => this.mark(null), onfocus: () => this.mark(place), onblur: () => this.mark(null) },
      s("title", {}, box.name),
      s("rect", shape),
      cost > 0 && s("rect", { class: "heat", ...shape, "fill-opacity": (0.08 + 0.8 * (cost / this.most)).toFixed(3) }),
      s("text", { x: box.x + box.width / 2, y: box.y + (second && !box.inner ? 19 : box.inner ? 18 : 27) }, fit(box.label, 7.2)),
      second && !box.inner && s("text", { class: "second", x: box.x + box.width / 2, y: box.y + 34 }, fit(second, 5.8)));
    parent.append(group);
    if (!box.inner) return;
    const [x, y] = insideOf(box);
    const inside = s("g", { transform: `translate(${x} ${y})` });
    this.paintPicture(box.inner, inside);
    parent.append(inside);
  },

  /** Shows all of it, but no larger than it is, and no smaller than can be read unless that is wanted. */
  whole(smallest = 1.6) {
    const { width, height } = this.size;
    const room = { width: this.stage.clientWidth || 800, height: this.stage.clientHeight || 600 };
    const scale = Math.min(Math.max(width / room.width, height / room.height, 1), smallest);
    // Of what does not fit, the upper part in the middle.
    this.frame = { x: (width - room.width * scale) / 2, y: Math.min(0, (height - room.height * scale) / 2), width: room.width * scale, height: room.height * scale };
    this.place();
  },

  place() {
    const { x, y, width, height } = this.frame;
    this.picture.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
  },

  scaleBy(factor, at = [0.5, 0.5]) {
    const { x, y, width, height } = this.frame;
    const limit = Math.max(this.size.width, this.size.height) * 4;
    if (width * factor < 60 || width * factor > limit) return;
    this.frame = { x: x + width * (1 - factor) * at[0], y: y + height * (1 - factor) * at[1], width: width * factor, height: height * factor };
    this.place();
  },

  listen() {
    const stage = this.stage;
    stage.addEventListener("wheel", (event) => {
      if (!this.picture) return;
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      this.scaleBy(event.deltaY > 0 ? 1.12 : 1 / 1.12, [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
    }, { passive: false });
    let from = null;
    stage.addEventListener("pointerdown", (event) => {
      if (!this.picture || event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, frame: this.frame };
      this.moved = false;
    });
    stage.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      if (!this.moved && Math.abs(dx) + Math.abs(dy) < 5) return;
      this.moved = true;
      const scale = from.frame.width / stage.clientWidth;
      this.frame = { ...from.frame, x: from.frame.x - dx * scale, y: from.frame.y - dy * scale };
      this.place();
    });
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) stage.addEventListener(end, () => (from = null));
    stage.addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "=") this.scaleBy(0.8);
      else if (event.key === "-") this.scaleBy(1.25);
      else if (event.key === "0") this.whole(Infinity);
      else if (event.key === "Backspace" && this.scope) this.go(this.scope.includes("/") ? this.scope.slice(0, this.scope.lastIndexOf("/")) : "");
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  },

  mark(index) {
    this.picture.querySelectorAll(".edge").forEach((edge) => {
      const touches = index !== null && (edge.dataset.from === String(index) || edge.dataset.to === String(index));
      edge.classList.toggle("on", touches);
    });
  },

  /** What the whole scope holds. */
  summary() {
    const { boxes, edges, scope } = this.answer;
    const count = boxes.reduce((sum, box) => sum + box.count, 0);
    const nanos = boxes.reduce((sum, box) => sum + (box.nanos || 0), 0);
    put(this.details, h("h2", {}, scope ? cutName(scope) : "The graph"), h("p", {}, `${whole(count)} operations in ${boxes.filter((box) => box.kind === "scope").length} scopes and ${boxes.filter((box) => box.kind === "op").length} single ones, ${edges.length} connections.`),
      nanos > 0 && h("p", {}, `Time of all operations: ${seconds(nanos / 1e9)}.`), h("p", { class: "dim" }, "Click on a box for its details; double-click on a scope, or press Enter, to open it in place, and again to close it. Drag to move, turn the wheel to zoom."));
  },

  async choose(index) {
    const { box, picture, first } = this.painted[index];
    this.picture.querySelectorAll(".box").forEach((group) => group.classList.toggle("chosen", group.dataset.box === String(index)));
    const costs = (nanos, memory) => nanos !== null && nanos !== undefined && [h("dt", {}, "Time"), h("dd", {}, seconds(nanos / 1e9)), h("dt", {}, "Memory"), h("dd", {}, bytes(Math.round(memory)))];
    if (box.kind !== "op") {
      const own = index - first;
      const between = picture.edges.filter((edge) => edge.from === own || edge.to === own).slice(0, 100).map((edge) => {
        const other = picture.boxes[edge.from === own ? edge.to : edge.from];
        return h("li", {}, edge.from === own ? "→ " : "← ", cutName(other.label), h("span", { class: "dim" }, ` ${edge.control ? "control" : edge.labels.join("; ")}`));
      });
      return put(this.details, h("h2", {}, cutName(box.name)), h("dl", {}, h("dt", {}, "Holds"), h("dd", {}, box.count ? `${whole(box.count)} operations` : "is outside of this scope"), costs(box.nanos, box.bytes)),
        box.kind === "scope" && h("div", { class: "row" },
          h("button", { type: "button", class: "quiet", onclick: () => this.toggle(box.name) }, box.inner ? "Close" : "Open in place"),
          h("button", { type: "button", class: "quiet", onclick: () => this.go(box.name) }, "Show alone")), h("ul", { class: "plain" }, between));
    }
    try {
      const node = await ask("/api/node", { run: this.run, name: box.name, metadata: this.metadata });
      const link = (name) => h("button", { type: "button", class: "link", onclick: () => this.find(name) }, cutName(name));
      const list = (title, items) => items.length > 0 && [h("h3", {}, title), h("ul", { class: "plain" }, items)];
      put(this.details, [h("h2", {}, cutName(node.name)), h("dl", {}, h("dt", {}, "Type"), h("dd", {}, node.op), node.device && [h("dt", {}, "Device"), h("dd", {}, node.device)], costs(node.nanos, node.bytes)),
        list("Outputs", node.outputs.map(([dtype, shape]) => h("li", {}, `${dtype} ${shape}`))),
        list("Inputs", node.inputs.map((input) => h("li", {}, link(input.name), h("span", { class: "dim" }, input.control ? " control" : ` ${(input.of || []).join(" ")}`)))),
        list("Used by", node.users.map((user) => h("li", {}, link(user.name), user.control && h("span", { class: "dim" }, " control")))),
        list("Attributes", node.attributes.map(([key, value]) => h("li", {}, h("code", {}, key), ` ${value}`)))]);
    } catch (error) {
      put(this.details, h("p", { class: "error" }, error.message));
    }
  },

  /** Moves to where an operation is drawn; shows its scope alone if it is in none that is open. */
  async find(name) {
    const drawn = () => this.picture.querySelector(`.op[data-name="${CSS.escape(name)}"]`) || this.picture.querySelector(`[data-name="${CSS.escape(name)}"]`);
    if (!drawn()) {
      this.scope = name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "";
      await this.refresh();
    }
    const group = drawn();
    if (!group) return;
    this.choose(Number(group.dataset.box));
    const [box, stage] = [group.getBoundingClientRect(), this.stage.getBoundingClientRect()];
    const scale = this.frame.width / stage.width;
    const [dx, dy] = [box.x + box.width / 2 - stage.x - stage.width / 2, box.y + box.height / 2 - stage.y - stage.height / 2];
    this.frame = { ...this.frame, x: this.frame.x + dx * scale, y: this.frame.y + dy * scale };
    this.place();
  },

  download() {
    const copy = this.picture.cloneNode(true);
    copy.setAttribute("viewBox", `0 0 ${this.size.width} ${this.size.height}`);
    copy.setAttribute("width", this.size.width);
    copy.setAttribute("height", this.size.height);
    const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).map((rule) => rule.cssText).filter((text) => text.includes("graph-picture") || text.startsWith(":root"));
    copy.prepend(s("style", {}, rules.join("\n")));
    save(`graph ${this.scope}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(copy));
  },
};
