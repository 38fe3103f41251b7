// One camera, large: where things stood (heat), and its zones and lines to draw anew. What is drawn stays here until
// "save" sends it; the gateway checks it and says what is wrong.
"use strict";
(() => {
  const { make, arrow } = zw.svg;
  const STEP = 0.005; // of the picture, for an arrow key; ten times as far with Shift
  const NAME = /^[a-z0-9][a-z0-9_-]*$/;
  const [COLD, WARM, HOT] = [[70, 40, 230], [235, 40, 140], [255, 215, 50]]; // like no street, lawn or roof
  const LEAST = { zones: 3, lines: 2 };
  const clamp = (x) => Math.round(Math.min(1, Math.max(0, x)) * 1e4) / 1e4;

  function crosses(points, closed) {
    const side = (p, q, r) => (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
    const edges = points.map((p, i) => [p, points[(i + 1) % points.length]]).slice(0, closed ? undefined : -1);
    for (let i = 0; i < edges.length; i++)
      for (let j = i + 2; j < edges.length - (closed && i === 0 ? 1 : 0); j++) {
        const [[a, b], [c, d]] = [edges[i], edges[j]];
        if (side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0) return true;
      }
    return false;
  }

  // The layer over a camera's picture. It has the picture's own coordinates, whatever room there is around it.
  class Layer {
    constructor(host) {
      this.host = host;
      this.heat = null;
      this.editor = null;
      this.svg = make("svg", { preserveAspectRatio: "xMidYMid meet" });
      host.replaceChildren(this.svg);
      new ResizeObserver(() => this.draw()).observe(host);
    }

    draw() {
      const image = this.host.parentElement.querySelector(".zw-picture img");
      [this.w, this.h] = image && image.naturalWidth ? [image.naturalWidth, image.naturalHeight] : [1600, 900];
      this.host.parentElement.style.aspectRatio = `${this.w} / ${this.h}`;
      const shown = Math.min(this.host.clientWidth || this.w, ((this.host.clientHeight || this.h) * this.w) / this.h);
      this.px = this.w / Math.max(shown, 1); // one pixel of the screen
      this.svg.setAttribute("viewBox", `0 0 ${this.w} ${this.h}`);
      const focused = this.svg.contains(document.activeElement);
      this.svg.replaceChildren();
      if (this.heat)
        this.svg.append(make("image", { href: this.heat, x: 0, y: 0, width: this.w, height: this.h, preserveAspectRatio: "none", class: "zw-heat" }));
      if (this.editor) this.editor.draw(focused);
    }

    at(event) {
      const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
      return [clamp(spot.x / this.w), clamp(spot.y / this.h)];
    }
  }

  function layer(id) {
    const host = document.getElementById(id);
    if (host && !host.layer) host.layer = new Layer(host);
    return host && host.layer;
  }

  function heat(id, columns, rows, cells) {
    const over = layer(id);
    if (!over) return;
    over.heat = null;
    const most = Math.max(0, ...cells);
    if (most > 0) {
      const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
      const context = canvas.getContext("2d");
      const picture = context.createImageData(columns, rows);
      cells.forEach((count, i) => {
        const share = (count / most) ** 0.4; // the paths show beside a car that is parked all day
        const [low, high, part] = share < 0.5 ? [COLD, WARM, share * 2] : [WARM, HOT, share * 2 - 1];
        const hot = low.map((from, k) => from + (high[k] - from) * part);
        picture.data.set([...hot, count ? 20 + 220 * share : 0], 4 * i);
      });
      context.putImageData(picture, 0, 0);
      over.heat = canvas.toDataURL();
    }
    over.draw();
  }

  class Editor {
    constructor(over, tools, camera, shapes, words) {
      Object.assign(this, { over, camera, shapes, words, chosen: -1, point: -1, placing: false, drag: null, said: [], past: [] });
      this.began = JSON.stringify(shapes);
      this.build(tools);
      this.listeners = { pointerdown: (e) => this.down(e), pointermove: (e) => this.move(e), pointerup: () => this.up(), pointercancel: () => this.up(), keydown: (e) => this.key(e) };
      for (const [name, listener] of Object.entries(this.listeners)) over.svg.addEventListener(name, listener);
      over.host.classList.add("editing");
      over.draw();
    }

    end() {
      for (const [name, listener] of Object.entries(this.listeners)) this.over.svg.removeEventListener(name, listener);
      this.over.host.classList.remove("editing");
      this.tools.replaceChildren();
      this.over.editor = null;
      this.over.draw();
    }

    get shape() {
      return this.shapes[this.chosen];
    }

    keep() {
      this.past.push(JSON.stringify(this.shapes));
      this.said = [];
    }

    // ── the tools ────────────────────────────────────────────────────────────────────────────────────────────────

    build(tools) {
      this.tools = tools;
      const button = (key, act, look = "") => {
        const made = Object.assign(document.createElement("button"), { type: "button", textContent: this.words[key], className: look });
        made.dataset.do = key;
        made.addEventListener("click", (event) => act.call(this, event));
        return made;
      };
      const group = (...parts) => {
        const made = Object.assign(document.createElement("div"), { className: "zw-tool-group" });
        made.append(...parts);
        return made;
      };
      this.input = Object.assign(document.createElement("input"), { className: "zw-shape-name", maxLength: 40, spellcheck: false, autocapitalize: "none", placeholder: this.words.name });
      this.input.setAttribute("aria-label", this.words.name);
      this.input.addEventListener("input", () => {
        this.said = [];
        if (this.shape) this.shape.name = this.input.value.trim();
        this.over.draw();
      });
      const label = Object.assign(document.createElement("label"), { textContent: this.words.name });
      label.append(this.input);
      this.turn = button("turn", this.turned);
      this.own = group(label, this.turn, button("add_point", this.added), button("remove_point", this.pointGone), button("remove_shape", this.gone));
      this.undo = button("undo", this.undone);
      this.done = button("done", this.placed, "zw-do");
      this.save = button("save", this.send, "zw-do");
      this.new = group(button("new_zone", (e) => this.begin("zones", e)), button("new_line", (e) => this.begin("lines", e)), this.undo);
      this.finish = group(this.done, this.save, button("cancel", () => this.end()));
      this.note = Object.assign(document.createElement("p"), { className: "zw-tool-note" });
      this.note.setAttribute("role", "status");
      tools.replaceChildren(this.new, this.own, this.finish, this.note);
    }

    begin(kind, event) {
      this.keep();
      const names = this.shapes.filter((one) => one.kind === kind).map((one) => one.name);
      let n = 1;
      while (names.includes(`${kind.slice(0, -1)}-${n}`)) n++;
      this.shapes.push({ kind, name: `${kind.slice(0, -1)}-${n}`, points: [] });
      this.chosen = this.shapes.length - 1;
      this.point = -1;
      this.placing = true;
      if (event.detail === 0) { // by keyboard: a shape to move, there is nothing to tap with
        this.shape.points = kind === "zones" ? [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]] : [[0.35, 0.5], [0.65, 0.5]];
        this.placing = false;
        this.point = 0;
      }
      this.over.draw();
    }

    placed() {
      this.placing = false;
      this.point = -1;
      if (this.shape && !this.shape.points.length) this.gone();
      this.over.draw();
    }

    turned() {
      this.keep();
      this.shape.points.reverse();
      this.over.draw();
    }

    added() { // a point in the middle of the edge after the chosen one
      if (!this.shape || !this.shape.points.length) return;
      this.keep();
      const { points, kind } = this.shape;
      let at = Math.max(0, this.point);
      if (kind === "lines" && at === points.length - 1) at = Math.max(0, at - 1);
      const [a, b] = [points[at], points[(at + 1) % points.length]];
      points.splice(at + 1, 0, [clamp((a[0] + b[0]) / 2), clamp((a[1] + b[1]) / 2)]);
      this.point = at + 1;
      this.over.draw();
    }

    pointGone() {
      if (!this.shape || this.point < 0) return;
      this.keep();
      this.shape.points.splice(this.point, 1);
      this.point = Math.min(this.point, this.shape.points.length - 1);
      this.over.draw();
    }

    gone() {
      this.keep();
      this.shapes.splice(this.chosen, 1);
      this.chosen = this.point = -1;
      this.placing = false;
      this.over.draw();
    }

    undone() {
      const last = this.past.pop();
      if (last === undefined) return;
      this.shapes = JSON.parse(last);
      this.chosen = Math.min(this.chosen, this.shapes.length - 1);
      this.point = -1;
      this.placing = false;
      this.said = [];
      this.over.draw();
    }

    send() {
      this.save.disabled = true;
      emitEvent("zw_drawn", { camera: this.camera, shapes: this.shapes });
    }

    refused(said) {
      this.said = said;
      this.over.draw();
    }

    // ── the drawing ──────────────────────────────────────────────────────────────────────────────────────────────

    wrong(shape) {
      const { words } = this;
      if (!NAME.test(shape.name)) return words.bad_name;
      if (this.shapes.filter((one) => one.kind === shape.kind && one.name === shape.name).length > 1) return words.taken;
      if (shape.points.length < LEAST[shape.kind]) return words[`few_${shape.kind}`];
      if (crosses(shape.points, shape.kind === "zones")) return words.crosses;
      const told = this.said.find((one) => one.kind === shape.kind && one.name === shape.name);
      return told ? told.problem : "";
    }

    draw(focused) {
      const problems = this.shapes.map((shape, at) => [at, this.placing && at === this.chosen ? "" : this.wrong(shape)]);
      this.shapes.forEach((shape, at) => this.outline(shape, at, problems[at][1]));
      if (this.shape) this.handles(this.shape);
      this.panel(problems.filter(([, problem]) => problem));
      const again = focused && this.over.svg.querySelector(`[data-handle="${this.point}"]`);
      if (again) again.focus({ preventScroll: true });
    }

    outline(shape, at, problem) {
      const { svg, w, h, px } = this.over;
      const zone = shape.kind === "zones";
      const points = shape.points.map(([x, y]) => `${x * w},${y * h}`).join(" ");
      const look = `${zone ? "zw-zone" : "zw-line"} zw-edit${at === this.chosen ? " on" : ""}${problem ? " wrong" : ""}`;
      const name = zone && !(this.placing && at === this.chosen) ? "polygon" : "polyline";
      if (!zone) svg.append(make("polyline", { points, class: "zw-line-hit", "vector-effect": "non-scaling-stroke", "data-shape": at }));
      svg.append(make(name, { points, class: look, "vector-effect": "non-scaling-stroke", "data-shape": at }));
      if (!zone && shape.points.length > 1) svg.append(arrow(shape.points, w, h, 12 * px));
      if (!shape.points.length) return;
      const size = 13 * px;
      const [x, y] = zone ? shape.points.reduce((a, b) => (b[1] < a[1] ? b : a)) : shape.points[0];
      const top = y * h - size * 0.9 < size ? y * h + size * 1.6 : y * h - size * 0.9;
      svg.append(make("text", { x: Math.min(Math.max(x * w, size * 0.4), w - shape.name.length * size * 0.62), y: top, "font-size": size, class: zone ? "zw-zone-name" : "zw-line-name" }, shape.name));
    }

    handles(shape) {
      const { svg, w, h, px } = this.over;
      const closed = shape.kind === "zones";
      shape.points.forEach(([x, y], at) => {
        const next = shape.points[(at + 1) % shape.points.length];
        if (!this.placing && (closed || at + 1 < shape.points.length)) {
          const [mx, my] = [((x + next[0]) / 2) * w, ((y + next[1]) / 2) * h];
          svg.append(make("circle", { cx: mx, cy: my, r: 5 * px, class: "zw-mid", "vector-effect": "non-scaling-stroke" }), make("circle", { cx: mx, cy: my, r: 13 * px, class: "zw-hit", "data-mid": at }));
        }
      });
      shape.points.forEach(([x, y], at) => {
        const group = make("g", { class: `zw-handle${at === this.point ? " on" : ""}`, tabindex: 0, role: "button", "data-handle": at, "aria-label": `${shape.name} ${at + 1}: ${Math.round(x * 100)} %, ${Math.round(y * 100)} %` });
        group.append(make("circle", { cx: x * w, cy: y * h, r: 16 * px, class: "zw-hit" }), make("circle", { cx: x * w, cy: y * h, r: 7 * px, class: "zw-knob", "vector-effect": "non-scaling-stroke" }));
        group.addEventListener("focus", () => (this.point = at));
        svg.append(group);
      });
    }

    panel(problems) {
      const { words, shape } = this;
      this.own.hidden = !shape || this.placing;
      this.turn.hidden = !shape || shape.kind !== "lines";
      this.done.hidden = !this.placing;
      this.save.hidden = this.placing;
      this.undo.disabled = !this.past.length;
      this.save.disabled = problems.length > 0 || JSON.stringify(this.shapes) === this.began;
      if (shape && document.activeElement !== this.input) this.input.value = shape.name;
      const general = this.said.filter((one) => !this.shapes.some((s) => s.kind === one.kind && s.name === one.name)).map((one) => one.problem);
      const lines = [...problems.map(([at, problem]) => `${this.shapes[at].name || "?"}: ${problem}`), ...general];
      this.note.classList.toggle("wrong", lines.length > 0);
      const hint = this.placing ? words.place_hint : shape ? (shape.kind === "lines" ? words.line_hint : words.edit_hint) : words.choose_hint;
      this.note.textContent = lines.length ? lines.join("\n") : hint;
    }

    // ── hands ────────────────────────────────────────────────────────────────────────────────────────────────────

    down(event) {
      const at = this.over.at(event);
      const target = event.target;
      const handle = target.closest("[data-handle]");
      event.preventDefault(); // no text is chosen, no page scrolled
      this.over.svg.setPointerCapture(event.pointerId);
      if (this.placing) {
        const [first] = this.shape.points;
        if (handle && handle.dataset.handle === "0" && this.shape.kind === "zones" && this.shape.points.length > 2 && first) return this.placed();
        this.keep();
        this.shape.points.push(at);
        this.point = this.shape.points.length - 1;
        this.drag = { at, whole: false };
      } else if (handle) {
        this.keep();
        this.point = Number(handle.dataset.handle);
        this.drag = { at, whole: false };
      } else if (target.dataset.mid !== undefined) {
        this.keep();
        this.point = Number(target.dataset.mid) + 1;
        this.shape.points.splice(this.point, 0, at);
        this.drag = { at, whole: false };
      } else if (target.dataset.shape !== undefined) {
        this.chosen = Number(target.dataset.shape);
        this.point = -1;
        this.keep();
        this.drag = { at, whole: true, from: this.shape.points.map((p) => [...p]) };
      } else {
        this.chosen = this.point = -1;
      }
      this.over.draw();
      const knob = this.over.svg.querySelector(`[data-handle="${this.point}"]`);
      if (knob) knob.focus({ preventScroll: true });
    }

    move(event) {
      if (!this.drag) return;
      const at = this.over.at(event);
      if (this.drag.whole) {
        const { from } = this.drag;
        const bound = (i, by) => Math.min(1 - Math.max(...from.map((p) => p[i])), Math.max(-Math.min(...from.map((p) => p[i])), by));
        const [dx, dy] = [bound(0, at[0] - this.drag.at[0]), bound(1, at[1] - this.drag.at[1])];
        this.shape.points = from.map(([x, y]) => [clamp(x + dx), clamp(y + dy)]);
      } else if (this.shape && this.shape.points[this.point]) {
        this.shape.points[this.point] = at;
      }
      this.over.draw();
    }

    up() {
      if (!this.drag) return;
      this.drag = null;
      if (this.past.length && this.past[this.past.length - 1] === JSON.stringify(this.shapes)) this.past.pop();
      this.over.draw();
    }

    key(event) {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key === "Enter" && this.placing) this.placed();
      else if (event.key === "Escape") {
        if (this.placing) this.placed();
        this.chosen = this.point = -1;
        this.over.draw();
      } else if (this.shape && this.shape.points[this.point] && ways[event.key]) {
        this.keep();
        const step = STEP * (event.shiftKey ? 10 : 1);
        this.shape.points[this.point] = this.shape.points[this.point].map((x, i) => clamp(x + ways[event.key][i] * step));
        this.over.draw();
      } else if (event.key === "Delete" || event.key === "Backspace") this.pointGone();
      else if (event.key === "Insert" || event.key === "+") this.added();
      else return;
      event.preventDefault();
      event.stopPropagation();
    }
  }

  function edit(id, tools, camera, shapes, words) {
    const over = layer(id);
    const box = document.getElementById(tools);
    if (!over || !box) return;
    if (over.editor) return; // it is being drawn already
    over.editor = new Editor(over, box, camera, shapes, words);
    over.draw();
  }

  function drawn(id, said) { // what the gateway says of what was sent; nothing: it is written
    const over = layer(id);
    if (!over || !over.editor) return;
    if (said.length) over.editor.refused(said);
    else over.editor.end();
  }

  function close(id) {
    const over = layer(id);
    if (over && over.editor) over.editor.end();
    if (over) over.heat = null;
    if (over) over.draw();
  }

  Object.assign(zw, { heat, edit, drawn, close });
})();
