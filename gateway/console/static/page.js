// What the page does in the browser itself: cookies, and a camera's picture with its boxes, changed both at once.
"use strict";
window.zw = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HUES = ["#31d0aa", "#ffb020", "#5aa9ff", "#ff7ab6", "#c58bff", "#b6e34a"];

  function make(name, attributes, text) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function hue(label) {
    let sum = 0;
    for (const letter of label) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
    return HUES[sum % HUES.length];
  }

  function tag(svg, x, y, text, colour, size) {
    const width = text.length * size * 0.53 + size * 0.7;
    const top = y - size * 1.35 < 0 ? y : y - size * 1.35;
    svg.append(make("rect", { x, y: top, width, height: size * 1.35, fill: colour, "fill-opacity": 0.92 }));
    svg.append(make("text", { x: x + size * 0.35, y: top + size * 1.02, "font-size": size, fill: "#0b0f14" }, text));
  }

  // Where a line's arrow begins and ends: at its middle, to the right hand of who walks along it, which is `in`.
  function side(points, w, h, length) {
    const px = points.map(([x, y]) => [x * w, y * h]);
    let longest = 0;
    for (let i = 1; i + 1 < px.length; i++) {
      const far = (n) => Math.hypot(px[n + 1][0] - px[n][0], px[n + 1][1] - px[n][1]);
      if (far(i) > far(longest)) longest = i;
    }
    const [a, b] = [px[longest], px[longest + 1]];
    const far = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    return [middle, [middle[0] - ((b[1] - a[1]) / far) * length, middle[1] + ((b[0] - a[0]) / far) * length]];
  }

  function arrow(points, w, h, size) {
    const [[x1, y1], [x2, y2]] = side(points, w, h, size * 2.2);
    const [dx, dy] = [(x2 - x1) * 0.35, (y2 - y1) * 0.35];
    const d = `M${x1} ${y1}L${x2} ${y2}M${x2 - dx - dy * 0.7} ${y2 - dy + dx * 0.7}L${x2} ${y2}L${x2 - dx + dy * 0.7} ${y2 - dy - dx * 0.7}`;
    return make("path", { d, class: "zw-line-arrow", "vector-effect": "non-scaling-stroke" });
  }

  function overlay(host, image, boxes, zones, lines) {
    const [w, h] = [image.naturalWidth, image.naturalHeight];
    const svg = make("svg", { viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: "xMidYMid meet" });
    const shown = Math.min(host.clientWidth || w, ((host.clientHeight || h) * w) / h);
    const size = (11.5 * w) / Math.max(shown, 1);
    for (const [name, polygon] of zones) {
      const points = polygon.map(([x, y]) => `${x * w},${y * h}`).join(" ");
      svg.append(make("polygon", { points, class: "zw-zone", "vector-effect": "non-scaling-stroke" }));
      const [x, y] = polygon.reduce((a, b) => (b[1] > a[1] ? b : a));
      svg.append(make("text", { x: Math.min(x * w + size * 0.5, w - name.length * size), y: y * h - size * 0.5, "font-size": size, class: "zw-zone-name" }, name));
    }
    for (const [name, points] of lines) {
      const text = points.map(([x, y]) => `${x * w},${y * h}`).join(" ");
      svg.append(make("polyline", { points: text, class: "zw-line", "vector-effect": "non-scaling-stroke" }));
      svg.append(arrow(points, w, h, size));
      const [x, y] = points[0];
      svg.append(make("text", { x: Math.min(x * w + size * 0.5, w - name.length * size), y: Math.max(y * h - size * 0.5, size), "font-size": size, class: "zw-line-name" }, name));
    }
    for (const [x1, y1, x2, y2, text] of boxes) {
      const colour = hue(text.split(" ")[0]);
      svg.append(make("rect", {
        x: x1 * w, y: y1 * h, width: (x2 - x1) * w, height: (y2 - y1) * h, fill: "none", stroke: colour,
        "stroke-width": 2, "vector-effect": "non-scaling-stroke",
      }));
      if ((x2 - x1) * shown > 26) tag(svg, x1 * w, y1 * h, text, colour, size);
    }
    return svg;
  }

  async function picture(id, url, boxes, zones, lines) {
    const image = new Image();
    image.alt = "";
    image.src = url;
    try {
      await image.decode();
    } catch {
      return; // the camera went away meanwhile: the last picture stays, with its time under it
    }
    const host = document.getElementById(id);
    if (!host) return;
    host.draw = () => host.replaceChildren(image, overlay(host, image, boxes, zones, lines));
    host.draw();
    if (!host.observer) {
      host.observer = new ResizeObserver(() => host.draw()); // the labels keep their size on the screen
      host.observer.observe(host);
    }
  }

  function remember(name, value, reload) {
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; samesite=lax`;
    if (reload) location.reload();
  }

  return { picture, remember, svg: { make, arrow }, language: (tag) => (document.documentElement.lang = tag) };
})();
