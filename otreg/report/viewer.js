// The viewer of otreg's pages: draws the scene and the plots that the page carries, with Plotly.
// All data is in the page; nothing is fetched.
"use strict";

(function () {
  const data = JSON.parse(document.getElementById("otreg-data").textContent);
  const scene = data.scene;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = { responsive: true, displaylogo: false, scrollZoom: true, modeBarButtons: [["toImage"]] };
  const byId = (id) => document.getElementById(id);

  // ---- data ----------------------------------------------------------------------------------------------------

  function unpack(packed) {
    const text = atob(packed.data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new { f4: Float32Array, u2: Uint16Array, u4: Uint32Array }[packed.kind](bytes.buffer);
  }

  const shapes = scene.shapes.map((shape) => ({
    ...shape,
    points: shape.points.map(unpack),
    corners: shape.corners.map(unpack),
  }));
  const fields = scene.fields.map((field) => ({ ...field, values: unpack(field.values) }));
  const arrows = scene.arrows.map((one) => ({
    ...one,
    start: one.start.map(unpack),
    vectors: one.vectors.map(unpack),
  }));
  const flat = scene.dimension === 2;
  const axes = flat ? ["x", "y"] : ["x", "y", "z"];

  // What the controls say.
  const state = {
    shown: Object.fromEntries(shapes.map((shape) => [shape.name, shape.visible])),
    opacity: Object.fromEntries(shapes.map((shape) => [shape.name, shape.opacity])),
    field: scene.coloured_by,
    arrows: "",
    times: 1,
  };

  // ---- colours -------------------------------------------------------------------------------------------------

  function theme() {
    return dark.matches
      ? { text: "#d7dce2", grid: "#4a525c", paper: "rgba(0,0,0,0)" }
      : { text: "#23282e", grid: "#c8ced6", paper: "rgba(0,0,0,0)" };
  }

  // Plotly reads its labels as a small HTML; names from files are text.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");

  const narrow = () => view.clientWidth < 560;

  function colourBar(field) {
    const row = narrow();
    const gap = row ? " " : "<br>";
    const beyond = field.largest > field.high ? gap + "largest " + field.largest.toPrecision(3) : "";
    const unit = field.unit ? gap + "(" + field.unit + ")" : "";
    return {
      title: { text: plain(field.label) + unit + beyond, side: "top", font: { size: 12 } },
      thickness: 14,
      tickfont: { color: theme().text },
      outlinewidth: 0,
      ...(row ? { orientation: "h", len: 0.9, y: 0, yanchor: "top" } : { len: 0.75, x: 1.0 }),
    };
  }

  function colouring(field) {
    return {
      colorscale: scene.colours[field.scale],
      cmin: field.low,
      cmax: field.high,
      showscale: true,
      colorbar: colourBar(field),
    };
  }

  // ---- traces --------------------------------------------------------------------------------------------------

  // A segment for each pair, with a gap behind it.
  function lines(points, pairs) {
    return points.map((column) => {
      const out = new Array(pairs[0].length * 3);
      for (let s = 0; s < pairs[0].length; s++) {
        out[3 * s] = column[pairs[0][s]];
        out[3 * s + 1] = column[pairs[1][s]];
        out[3 * s + 2] = null;
      }
      return out;
    });
  }

  // The edges of triangles, each once: how a surface of the plane is drawn.
  function edges(corners, count) {
    const seen = new Set();
    const first = [];
    const second = [];
    for (let t = 0; t < corners[0].length; t++) {
      for (let k = 0; k < 3; k++) {
        const a = corners[k][t];
        const b = corners[(k + 1) % 3][t];
        const key = Math.min(a, b) * count + Math.max(a, b);
        if (!seen.has(key)) {
          seen.add(key);
          first.push(a);
          second.push(b);
        }
      }
    }
    return [first, second];
  }

  const coordinates = (columns) => Object.fromEntries(columns.map((column, k) => [axes[k], column]));

  function hover(shape, field) {
    const place = axes.map((axis) => "%{" + axis + ":.5g}").join(", ");
    const value = field ? "<br>" + plain(field.label) + " %{text:.4g}" : "";
    return { hovertemplate: "<b>" + plain(shape.label) + "</b><br>" + place + value + "<extra></extra>" };
  }

  function marks(shape, field) {
    const size = shape.kind === "points" ? Math.max(flat ? 3 : 1.6, 6 - Math.log10(shape.points[0].length + 1)) : 4;
    return {
      ...coordinates(shape.points),
      type: flat ? "scattergl" : "scatter3d",
      mode: "markers",
      marker: { size: size, opacity: 1, ...(field ? { color: field.values, ...colouring(field) } : { color: shape.colour }) },
      ...(field ? { text: field.values } : {}),
    };
  }

  function tracesOf(shape) {
    const field = fields.find((one) => one.name === state.field && one.shape === shape.name);
    const common = {
      name: shape.label,
      visible: state.shown[shape.name],
      opacity: state.opacity[shape.name],
      showlegend: false,
      ...hover(shape, field),
    };
    if (shape.kind === "surface" && !flat) {
      const [i, j, k] = shape.corners;
      return [
        {
          ...common,
          ...coordinates(shape.points),
          type: "mesh3d",
          i: i,
          j: j,
          k: k,
          lighting: { ambient: 0.5, diffuse: 0.7, specular: 0.12, roughness: 0.6, fresnel: 0.05 },
          lightposition: { x: 1e4, y: -1e4, z: 2e4 },
          ...(field ? { intensity: field.values, text: field.values, ...colouring(field) } : { color: shape.colour }),
        },
      ];
    }
    if (shape.kind === "points") return [{ ...common, ...marks(shape, field) }];
    const pairs = shape.kind === "curve" ? shape.corners : edges(shape.corners, shape.points[0].length);
    const line = {
      ...common,
      ...coordinates(lines(shape.points, pairs)),
      type: flat ? "scattergl" : "scatter3d",
      mode: "lines",
      connectgaps: false,
      line: { color: shape.colour, width: shape.kind === "curve" ? (flat ? 2 : 4) : 1 },
    };
    return field ? [line, { ...common, ...marks(shape, field) }] : [line];
  }

  // Shafts as lines of true length times the chosen factor, heads as two (in space: four) short strokes.
  function arrowTraces() {
    const one = arrows.find((candidate) => candidate.name === state.arrows);
    if (!one) return [];
    const n = one.start[0].length;
    const d = axes.length;
    const out = axes.map(() => []);
    const push = (point) => axes.forEach((_, k) => out[k].push(point === null ? null : point[k]));
    for (let a = 0; a < n; a++) {
      const from = one.start.map((column) => column[a]);
      const way = one.vectors.map((column) => column[a] * state.times);
      const length = Math.hypot(...way);
      if (!(length > 0)) continue;
      const tip = from.map((c, k) => c + way[k]);
      push(from);
      push(tip);
      push(null);
      for (const side of sides(way, length)) {
        push(tip);
        push(tip.map((c, k) => c - 0.25 * way[k] + 0.1 * length * side[k]));
        push(null);
      }
    }
    return [
      {
        ...coordinates(out),
        type: d === 2 ? "scattergl" : "scatter3d",
        mode: "lines",
        name: one.label,
        showlegend: false,
        hoverinfo: "skip",
        connectgaps: false,
        line: { color: dark.matches ? "#ffffff" : "#000000", width: d === 2 ? 1.2 : 2 },
      },
    ];
  }

  // Unit vectors across an arrow, in opposite pairs.
  function sides(way, length) {
    const u = way.map((c) => c / length);
    if (u.length === 2) return [[-u[1], u[0]], [u[1], -u[0]]];
    const least = u.map(Math.abs).indexOf(Math.min(...u.map(Math.abs)));
    const axis = [0, 1, 2].map((k) => (k === least ? 1 : 0));
    const p = unit(cross(u, axis));
    return [p, p.map((c) => -c)];
  }

  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const dot = (a, b) => a.reduce((sum, c, k) => sum + c * b[k], 0);
  function unit(a) {
    const length = Math.hypot(...a) || 1;
    return a.map((c) => c / length);
  }

  const traces = () => [...shapes.flatMap(tracesOf), ...arrowTraces()];

  // ---- the view ------------------------------------------------------------------------------------------------

  const view = byId("view");
  const vector = (a) => ({ x: a[0], y: a[1], z: a[2] });
  const array = (v) => [v.x, v.y, v.z];

  const spans = Object.fromEntries(
    shapes.map((shape) => [
      shape.name,
      shape.points.map((column) => column.reduce(([low, high], c) => [Math.min(low, c), Math.max(high, c)], [1e300, -1e300])),
    ])
  );

  // The box around the shapes that are shown (all, if none is): [low, high] of each axis.
  function ranges() {
    const shown = shapes.filter((shape) => state.shown[shape.name]);
    const boxes = (shown.length ? shown : shapes).map((shape) => spans[shape.name]);
    const box = axes.map((_, k) => [Math.min(...boxes.map((b) => b[k][0])), Math.max(...boxes.map((b) => b[k][1]))]);
    const longest = Math.max(...box.map(([low, high]) => high - low)) || 1;
    return box.map(([low, high]) => {
      // A flat shape still needs a box with a height.
      const half = Math.max((high - low) / 2, 0.01 * longest) * 1.04;
      return [(low + high) / 2 - half, (low + high) / 2 + half];
    });
  }

  // Lengths of the box with the longest as 1: one file unit is equally long along all axes.
  function aspect() {
    const lengths = ranges().map(([low, high]) => high - low);
    return lengths.map((length) => length / Math.max(...lengths));
  }

  function home() {
    const shape = view.clientWidth / Math.max(view.clientHeight, 1);
    const distance = 1.25 * Math.hypot(...aspect()) * Math.max(1, 1.1 / shape);
    const eye = scene.camera.eye.map((c) => c * distance);
    return { up: vector(scene.camera.up), eye: vector(eye), center: { x: 0, y: 0, z: 0 } };
  }

  function axisOf(k) {
    const offset = scene.offset[k];
    const label = axes[k] + (offset ? (offset > 0 ? " − " : " + ") + Math.abs(offset) : "") + " (file units)";
    const colours = theme();
    return {
      title: { text: label, font: { size: 12 } },
      color: colours.text,
      gridcolor: colours.grid,
      zerolinecolor: colours.grid,
      tickfont: { size: 11 },
      showspikes: false,
      showbackground: false,
    };
  }

  function layout(camera) {
    const colours = theme();
    const common = {
      paper_bgcolor: colours.paper,
      plot_bgcolor: colours.paper,
      font: { color: colours.text },
      margin: { l: flat ? 55 : 0, r: 0, t: 8, b: flat ? 45 : 0 },
      modebar: { bgcolor: colours.paper, color: colours.text, activecolor: colours.text },
      uirevision: "kept",
      hovermode: "closest",
    };
    if (flat) {
      return { ...common, dragmode: "pan", xaxis: axisOf(0), yaxis: { ...axisOf(1), scaleanchor: "x", scaleratio: 1 } };
    }
    return {
      ...common,
      scene: {
        aspectmode: "manual",
        aspectratio: vector(aspect()),
        camera: camera,
        dragmode: "orbit",
        xaxis: { ...axisOf(0), range: ranges()[0] },
        yaxis: { ...axisOf(1), range: ranges()[1] },
        zaxis: { ...axisOf(2), range: ranges()[2] },
      },
    };
  }

  const camera = () => (view.layout && view.layout.scene && view.layout.scene.camera) || home();

  let pending = Promise.resolve();
  function draw() {
    // One after the other: Plotly does not like a second drawing while it draws.
    pending = pending.then(() =>
      Plotly.react(view, traces(), flat ? { ...layout(), ...rangesKept() } : layout(camera()), config)
    );
    return pending;
  }

  function rangesKept() {
    if (!view.layout || !view.layout.xaxis || !view.layout.xaxis.range) return {};
    const base = layout();
    return {
      xaxis: { ...base.xaxis, range: view.layout.xaxis.range },
      yaxis: { ...base.yaxis, range: view.layout.yaxis.range },
    };
  }

  // Right, upwards and towards the viewer, from the camera as it is.
  function directions(now) {
    const back = unit(array(now.eye).map((c, k) => c - array(now.center)[k]));
    const right = unit(cross(array(now.up), back));
    return { back: back, right: right, up: cross(back, right) };
  }

  function look(eyeDirection, up) {
    const now = camera();
    const distance = Math.hypot(...array(now.eye).map((c, k) => c - array(now.center)[k]));
    const eye = unit(eyeDirection).map((c, k) => c * distance + array(now.center)[k]);
    return Plotly.relayout(view, { "scene.camera": { ...now, eye: vector(eye), up: vector(up) } });
  }

  function turned(a, axis, angle) {
    const side = cross(axis, a);
    const along = dot(axis, a) * (1 - Math.cos(angle));
    return a.map((c, k) => c * Math.cos(angle) + side[k] * Math.sin(angle) + axis[k] * along);
  }

  function orbit(sideways, upwards) {
    const now = camera();
    const { back, right, up } = directions(now);
    const around = unit(array(now.up));
    let eye = turned(back, right, -upwards);
    eye = turned(eye, around, sideways);
    // Going over the pole would turn the picture upside down.
    if (Math.abs(dot(eye, around)) > 0.985 && upwards) eye = turned(back, around, sideways);
    look(eye, array(now.up));
  }

  function zoom(factor) {
    if (flat) {
      const change = {};
      for (const axis of ["xaxis", "yaxis"]) {
        const [low, high] = view._fullLayout[axis].range;
        const middle = (low + high) / 2;
        const half = ((high - low) / 2) * factor;
        change[axis + ".range"] = [middle - half, middle + half];
      }
      Plotly.relayout(view, change);
      return;
    }
    const now = camera();
    const eye = array(now.eye).map((c, k) => array(now.center)[k] + (c - array(now.center)[k]) * factor);
    Plotly.relayout(view, { "scene.camera": { ...now, eye: vector(eye) } });
  }

  function pan(right, up) {
    const change = {};
    for (const [axis, step] of [["xaxis", right], ["yaxis", up]]) {
      const [low, high] = view._fullLayout[axis].range;
      change[axis + ".range"] = [low + step * (high - low), high + step * (high - low)];
    }
    Plotly.relayout(view, change);
  }

  function reset() {
    if (flat) Plotly.relayout(view, { "xaxis.autorange": true, "yaxis.autorange": true });
    else Plotly.relayout(view, { "scene.camera": home() });
  }

  const STEP = Math.PI / 18;
  const keys = {
    ArrowLeft: () => (flat ? pan(-0.1, 0) : orbit(-STEP, 0)),
    ArrowRight: () => (flat ? pan(0.1, 0) : orbit(STEP, 0)),
    ArrowUp: () => (flat ? pan(0, 0.1) : orbit(0, STEP)),
    ArrowDown: () => (flat ? pan(0, -0.1) : orbit(0, -STEP)),
    "+": () => zoom(1 / 1.15),
    "=": () => zoom(1 / 1.15),
    "-": () => zoom(1.15),
    0: reset,
  };

  // ---- controls ------------------------------------------------------------------------------------------------

  function connect() {
    for (const shape of shapes) {
      byId("show-" + shape.name).addEventListener("change", (event) => {
        state.shown[shape.name] = event.target.checked;
        draw();
      });
      byId("opacity-" + shape.name).addEventListener("input", (event) => {
        state.opacity[shape.name] = Number(event.target.value);
        draw();
      });
    }
    const choose = (id, change) => {
      const control = byId(id);
      if (control) {
        control.addEventListener("change", (event) => {
          change(event.target.value);
          draw();
        });
      }
    };
    choose("colour-by", (value) => {
      state.field = value;
      const field = fields.find((one) => one.name === value);
      // A colouring that cannot be seen is no answer.
      if (field && !state.shown[field.shape]) {
        state.shown[field.shape] = true;
        byId("show-" + field.shape).checked = true;
      }
    });
    choose("arrows", (value) => (state.arrows = value));
    choose("arrow-length", (value) => (state.times = Number(value)));
    byId("reset").addEventListener("click", reset);
    for (const button of document.querySelectorAll("[data-look]")) {
      button.addEventListener("click", () => {
        const [axis, sign] = [Number(button.dataset.look[1]), button.dataset.look[0] === "+" ? 1 : -1];
        const eye = [0, 0, 0];
        eye[axis] = sign;
        look(eye, axis === 2 ? [0, 1, 0] : [0, 0, 1]);
      });
    }
    view.addEventListener("keydown", (event) => {
      const action = keys[event.key];
      if (action && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        action();
      }
    });
    dark.addEventListener("change", () => {
      draw();
      plots();
    });
  }

  // ---- plots ---------------------------------------------------------------------------------------------------

  function plots() {
    for (const plot of data.plots) {
      const colours = theme();
      const axisColours = { color: colours.text, gridcolor: colours.grid, zerolinecolor: colours.grid, automargin: true };
      const figure = structuredClone(plot.layout);
      for (const key of Object.keys(figure)) {
        if (/^[xy]axis\d*$/.test(key)) Object.assign(figure[key], axisColours);
      }
      for (const shape of figure.shapes || []) shape.line = { color: colours.grid, width: 1, dash: "dot" };
      Object.assign(figure, {
        paper_bgcolor: colours.paper,
        plot_bgcolor: colours.paper,
        font: { color: colours.text, size: 12 },
      });
      Plotly.react(plot.id, structuredClone(plot.traces), figure, { responsive: true, displayModeBar: false });
    }
  }

  connect();
  draw().then(() => {
    // Plotly's own canvas takes no focus; the frame around it does, and hears the keys.
    view.dataset.ready = "yes";
  });
  plots();
})();
