// The page's behaviour: sorts and filters the table, chooses columns, draws the charts that come into view.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (name) => JSON.parse(byId(`data-${name}`).textContent);
  const lazily = (name) => {
    let found;
    return () => (found ??= read(name));
  };
  const cases = read("cases");
  const attacks = lazily("attacks");
  const trials = lazily("trials");
  const MOST_DRAWN = 40;
  // Okabe and Ito's, safe for colour-blind eyes; on dark paper the light ones come first.
  const ON_LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
  const ON_DARK = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#f0e442"];
  const dark = matchMedia("screen and (prefers-color-scheme: dark)");
  let COLOURS = dark.matches ? ON_DARK : ON_LIGHT;
  const VERDICTS = ["faster", "no difference shown", "slower"];
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "cross", "star"];

  // The table

  const table = byId("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const words = rows.map(() => null);
  const wordsOf = (number) => (words[number] ??= rows[number].textContent.toLowerCase());
  let order = cases.map((_, number) => number);
  let shown = order;

  function filter() {
    const sought = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...document.querySelectorAll("[data-filter]")].filter((one) => one.value);
    const fits = (number) =>
      chosen.every((one) => cases[number][one.dataset.filter] === one.value) &&
      sought.every((word) => wordsOf(number).includes(word));
    shown = order.filter(fits);
    const kept = new Set(shown);
    rows.forEach((row, number) => {
      row.hidden = !kept.has(number);
    });
    byId("shown").textContent = `${shown.length.toLocaleString("en")} of ${cases.length.toLocaleString("en")} cases`;
    redraw(...CHARTS_OF_CASES);
  }

  function sort(button) {
    const heading = button.closest("th");
    const falling = heading.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th[aria-sort]").forEach((one) => one.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const key = button.dataset.sort;
    const known = order.filter((number) => cases[number][key] !== undefined);
    const unknown = order.filter((number) => cases[number][key] === undefined);
    known.sort((a, b) => d3.ascending(cases[a][key], cases[b][key]) * (falling ? -1 : 1));
    order = [...known, ...unknown];
    body.append(...order.map((number) => rows[number]));
    filter();
  }

  // Words and figures

  const scaled = (value, steps) => {
    const [factor, unit] = steps.find(([one]) => value >= 0.9995 * one) ?? steps.at(-1);
    return `${Number((value / factor).toPrecision(3))} ${unit}`;
  };
  const duration = (ns) =>
    scaled(ns, [
      [1e9, "s"],
      [1e6, "ms"],
      [1e3, "us"],
      [1, "ns"],
    ]);
  const size = (bytes) =>
    scaled(bytes, [
      [1e9, "GB"],
      [1e6, "MB"],
      [1e3, "kB"],
      [1, "B"],
    ]);
  const ratio = (value) => `${value.toPrecision(3)}x`;
  const PARTS = {
    network: (one) => one.network,
    conversion: (one) => one.conversion,
    host: (one) => one.host,
    device: (one) => one.device,
    batch: (one) => `batch ${one.batch}`,
    threads: (one) => `${one.threads} threads`,
  };

  // What tells a case from the others that are drawn; the first two parts always.
  function labels(numbers) {
    const vary = Object.keys(PARTS).filter(
      (key, rank) => rank < 2 || new Set(numbers.map((number) => cases[number][key])).size > 1,
    );
    const told = (one) =>
      vary
        .filter((key) => one[key] !== undefined)
        .map((key) => PARTS[key](one))
        .join(", ");
    return new Map(numbers.map((number) => [number, told(cases[number])]));
  }

  // Where it ran, of things that did not all run in one place.
  const placesOf = (all) => {
    const place = (one) => `${one.host}, ${one.device}`;
    return new Set(all.map(place)).size > 1 ? (one) => ` on ${place(one)}` : () => "";
  };

  // Charts: each returns a drawing, or words when there is nothing to draw

  const tooMany = (count, what = "cases") =>
    count > MOST_DRAWN
      ? `The first ${MOST_DRAWN} of ${count.toLocaleString("en")} ${what}; choose others in the table.`
      : "";
  const few = (key, among = shown) => {
    const all = among.filter((number) => cases[number][key] !== undefined);
    return { drawn: all.slice(0, MOST_DRAWN), note: tooMany(all.length) };
  };

  // Marks with a row for each case, its label above its mark, so that long names fit a narrow page.
  function perCase(width, numbers, x, marks, more = {}) {
    const names = labels(numbers);
    const high = 34;
    return Plot.plot({
      width,
      height: numbers.length * high + 75,
      marginLeft: 24,
      marginRight: 30,
      marginTop: 20,
      marginBottom: 45,
      style: { fontSize: "12px" },
      x: { grid: true, nice: true, ...x },
      y: { type: "band", domain: numbers, axis: null, padding: 0.3 },
      color: { range: COLOURS, legend: false },
      marks: [
        ...marks,
        Plot.text(numbers, {
          y: (number) => number,
          frameAnchor: "left",
          dy: -high / 2 + 4,
          text: (number) => names.get(number),
          textAnchor: "start",
          fill: "currentColor",
          stroke: "var(--paper)",
          strokeWidth: 4,
        }),
      ],
      ...more,
    });
  }

  const CHARTS = {
    ratio(width) {
      const { drawn, note } = few("ratio");
      if (!drawn.length) return ["Nothing that is shown was compared with its source.", ""];
      const of = (key) => (number) => cases[number][key] ?? cases[number].ratio;
      const verdict = (number) =>
        of("ratio_high")(number) < 1 ? "faster" : of("ratio_low")(number) > 1 ? "slower" : "no difference shown";
      return [
        perCase(
          width,
          drawn,
          {
            type: "log",
            label: "time over the source's →",
            tickFormat: (value) => `${value}x`,
            ticks: Math.max(3, width / 130),
          },
          [
            Plot.ruleX([1], { stroke: "currentColor", strokeDasharray: "4 3" }),
            Plot.ruleY(drawn, {
              x1: of("ratio_low"),
              x2: of("ratio_high"),
              y: (number) => number,
              stroke: verdict,
              strokeWidth: 2.5,
              dy: 5,
            }),
            Plot.dot(drawn, {
              x: of("ratio"),
              y: (number) => number,
              fill: verdict,
              symbol: verdict,
              r: 5,
              dy: 5,
              tip: true,
              title: (number) =>
                `${labels([number]).get(number)}\n${ratio(of("ratio")(number))} ` +
                `(${ratio(of("ratio_low")(number))} to ${ratio(of("ratio_high")(number))})`,
            }),
          ],
          {
            color: { domain: VERDICTS, range: [COLOURS[0], "#808790", COLOURS[1]] },
            symbol: { domain: VERDICTS, range: ["circle", "diamond", "square"], legend: true },
          },
        ),
        note,
      ];
    },

    front(width) {
      const numbers = shown
        .filter((number) => cases[number].accuracy !== undefined && cases[number].median !== undefined)
        .slice(0, 500);
      if (!numbers.length) return ["Nothing that is shown has both an accuracy and a time.", ""];
      const points = numbers.map((number) => ({ ...cases[number], percent: 100 * cases[number].accuracy, number }));
      const group = (one) => `${one.network}, batch ${one.batch}`;
      const conversions = [...new Set(points.map((one) => one.conversion))];
      return [
        Plot.plot({
          width,
          height: 420,
          inset: 10,
          marginLeft: 50,
          marginBottom: 45,
          grid: true,
          style: { fontSize: "12px" },
          x: { type: "log", label: "median of an inference →", tickFormat: duration, ticks: Math.max(3, width / 130) },
          y: { label: "↑ accuracy (%)", nice: true },
          color: { domain: conversions, range: conversions.map((_, rank) => COLOURS[rank % COLOURS.length]) },
          symbol: {
            domain: conversions,
            range: conversions.map((_, rank) => SYMBOLS[rank % SYMBOLS.length]),
            legend: true,
          },
          marks: [
            Plot.line(
              d3.sort(
                points.filter((one) => one.front),
                (one) => one.median,
              ),
              { x: "median", y: "percent", z: group, stroke: "currentColor", strokeOpacity: 0.45, curve: "step-after" },
            ),
            Plot.dot(points, {
              x: "median",
              y: "percent",
              fill: "conversion",
              symbol: "conversion",
              r: (one) => (one.front ? 6 : 4),
              fillOpacity: (one) => (one.front ? 1 : 0.6),
              tip: true,
              title: (one) =>
                `${group(one)}\n${one.conversion} on ${one.host}, ${one.device}\n` +
                `${duration(one.median)}, ${one.percent.toPrecision(4)} %`,
            }),
          ],
        }),
        "Large marks lie on the front of their network and batch size. To see one network alone, choose it in the table.",
      ];
    },

    memory: (width) => bars(width, "memory", size, "peak of the process →"),

    size(width) {
      const seen = new Set();
      const once = shown.filter((number) => {
        const name = `${cases[number].network} ${cases[number].conversion}`;
        return cases[number].size !== undefined && !seen.has(name) && seen.add(name);
      });
      return bars(width, "size", size, "size →", once);
    },

    phases(width) {
      const { drawn, note } = few("load");
      if (!drawn.length) return ["Nothing that is shown was timed.", ""];
      const phases = ["import", "load", "first", "warmup"];
      const parts = drawn.flatMap((number) =>
        phases.map((phase) => ({ number, phase, seconds: (cases[number][phase] ?? 0) / 1e9 })),
      );
      return [
        perCase(
          width,
          drawn,
          { label: "seconds →" },
          [
            Plot.barX(parts, {
              x: "seconds",
              y: "number",
              fill: "phase",
              order: phases,
              insetTop: 12,
              tip: true,
              title: (one) => `${one.phase}: ${duration(one.seconds * 1e9)}`,
            }),
          ],
          { color: { domain: phases, range: COLOURS, legend: true } },
        ),
        note,
      ];
    },

    fidelity(width) {
      const checked = shown.map((number) => cases[number]).filter((one) => one.agrees !== undefined);
      const networks = [...new Set(checked.map((one) => one.network))];
      const drawn = new Set(networks.slice(0, MOST_DRAWN));
      const place = placesOf(checked);
      const named = checked.map((one) => ({ ...one, what: one.conversion + place(one) }));
      const cells = d3
        .groups(
          named.filter((one) => drawn.has(one.network)),
          (one) => `${one.network}\n${one.what}`,
        )
        .map(([, [first]]) => first);
      if (!cells.length) return ["No answers of what is shown were checked.", ""];
      const floor = 1e-9;
      const most = Math.max(1, d3.max(cells, (one) => one.error) ?? 1); // also where answers are no numbers
      return [
        heat(
          width,
          cells,
          (one) => Math.max(one.error ?? most, floor),
          (one) => (one.agrees === 1 ? "100 %" : `${(100 * one.agrees).toPrecision(3)} %`),
          "what",
          "network",
          {
            type: "log",
            scheme: "cividis",
            reverse: true,
            label: "largest difference",
            domain: [floor, most],
            tickFormat: ".0e",
            ticks: 4,
          },
        ),
        tooMany(networks.length, "networks"),
      ];
    },

    robustness(width) {
      const networks = new Set(shown.map((number) => cases[number].network));
      const place = placesOf(attacks());
      const of = attacks()
        .filter((one) => networks.has(one.network))
        .map((one) => ({ ...one, who: `${one.network}\n${one.conversion}${place(one)}` }));
      const everyone = [...new Set(of.map((one) => one.who))];
      const drawn = new Set(everyone.slice(0, MOST_DRAWN));
      const cells = of.filter((one) => drawn.has(one.who));
      if (!cells.length) return ["No attack on a converted model of what is shown.", ""];
      const points = (one) => ((words) => (one.counts ? words : `(${words})`))((100 * one.difference).toFixed(1));
      const most = Math.max(
        1,
        d3.max(cells, (one) => 100 * Math.abs(one.difference)),
      );
      return [
        heat(width, cells, (one) => 100 * one.difference, points, "attack", "who", {
          type: "diverging",
          scheme: "PuOr",
          domain: [-most, most],
          label: "points more wrong than the source",
        }),
        "Orange: the converted model does worse; purple: better. Shares in brackets have no say in who is more " +
          `vulnerable. ${tooMany(everyone.length, "converted models")}`,
      ];
    },

    ecdf(width) {
      const number = chosen();
      const lines = [
        [number, "this case"],
        [cases[number]?.source, "source"],
      ].flatMap(([which, whose], rank) =>
        rank && which === number
          ? []
          : (trials()[which]?.timing ?? []).flatMap((values, trial) =>
              values.map((value, index) => ({
                value,
                share: index / Math.max(values.length - 1, 1),
                trial: `${whose}, trial ${trial + 1}`,
                whose,
              })),
            ),
      );
      if (!lines.length) return ["This case was not timed.", ""];
      return [
        Plot.plot({
          width,
          height: 360,
          marginLeft: 50,
          marginBottom: 45,
          grid: true,
          style: { fontSize: "12px" },
          x: { type: "log", label: "time of an inference →", tickFormat: duration, ticks: Math.max(3, width / 130) },
          y: { label: "↑ share of samples", domain: [0, 1] },
          color: { domain: ["this case", "source"], range: COLOURS, legend: true },
          marks: [
            Plot.line(lines, {
              x: "value",
              y: "share",
              z: "trial",
              stroke: "whose",
              strokeWidth: 1.25,
              curve: "step-after",
            }),
            Plot.ruleX([cases[number].median], { stroke: "currentColor" }),
            Plot.ruleX([cases[number].low, cases[number].high], { stroke: "currentColor", strokeDasharray: "3 3" }),
            Plot.tip(
              lines,
              Plot.pointer({
                x: "value",
                y: "share",
                title: (one) => `${one.trial}\n${(100 * one.share).toFixed(0)} % took ${duration(one.value)} or less`,
              }),
            ),
          ],
        }),
        "Upright lines: the median with interference taken out, and its 95 % interval.",
      ];
    },

    timeline(width) {
      const sections = trials()[chosen()]?.memory ?? [];
      if (!sections.length) return ["This case has no memory trial.", ""];
      const points = sections.flatMap((section, trial) =>
        section.at_ms.map((at, index) => ({
          at: at / 1000,
          bytes: 1000 * section.rss_kb[index],
          trial: `trial ${trial + 1}`,
        })),
      );
      const peaks = sections.map((section, trial) => ({
        bytes: 1000 * d3.max(Object.values(section.peaks_kb)),
        trial: `trial ${trial + 1}`,
      }));
      const phases = Object.entries(sections[0].peaks_kb)
        .map(([phase, kb]) => `${phase} ${size(1000 * kb)}`)
        .join(", ");
      return [
        Plot.plot({
          width,
          height: 300,
          marginLeft: 65,
          marginBottom: 45,
          grid: true,
          style: { fontSize: "12px" },
          x: { label: "seconds →" },
          y: { label: "↑ resident memory", tickFormat: size, zero: true },
          color: { range: COLOURS, legend: sections.length > 1 },
          marks: [
            Plot.line(points, { x: "at", y: "bytes", z: "trial", stroke: "trial", strokeWidth: 1.75 }),
            Plot.ruleY(peaks, { y: "bytes", stroke: "trial", strokeDasharray: "5 4" }),
            Plot.text(peaks.slice(0, 1), {
              y: "bytes",
              frameAnchor: "right",
              text: (one) => `kernel's peak ${size(one.bytes)}`,
              dy: -8,
              textAnchor: "end",
              fill: "currentColor",
            }),
          ],
        }),
        `Kernel's peaks by phase, trial 1: ${phases}.`,
      ];
    },
  };
  const CHARTS_OF_CASES = ["ratio", "front", "memory", "size", "phases", "fidelity", "robustness"];
  const CHARTS_OF_ONE = ["ecdf", "timeline"];

  function bars(width, key, words, label, among = shown) {
    const { drawn, note } = few(key, among);
    if (!drawn.length) return ["Nothing of the kind is known of what is shown.", ""];
    return [
      perCase(width, drawn, { label, tickFormat: words, ticks: Math.max(3, width / 130) }, [
        Plot.barX(drawn, {
          x: (number) => cases[number][key],
          y: (number) => number,
          fill: COLOURS[0],
          insetTop: 12,
          tip: true,
          title: (number) => words(cases[number][key]),
        }),
      ]),
      note,
    ];
  }

  function heat(width, cells, value, words, x, y, color) {
    const columns = [...new Set(cells.map((one) => one[x]))];
    const lines = [...new Set(cells.map((one) => one[y]))];
    const longest = (names) =>
      d3.max(
        names.flatMap((name) => name.split("\n")),
        (part) => part.length,
      );
    const marginLeft = 6.6 * longest(lines) + 14;
    const slanted = 6.4 * longest(columns);
    const [marginTop, marginRight] = [0.65 * slanted + 24, 0.6 * slanted];
    const beside = marginLeft + marginRight;
    const plot = {
      width: beside + columns.length * Math.min(110, Math.max(52, (width - beside) / columns.length)),
      height: lines.length * 34 + marginTop + 20,
      marginLeft,
      marginTop,
      marginRight,
      style: { fontSize: "12px" },
      x: { domain: columns, axis: "top", label: null, tickRotate: -40 },
      y: { domain: lines, label: null },
      color: { ...color, legend: true },
    };
    const scale = Plot.scale({ color });
    const ink = (one) => (d3.lab(scale.apply(value(one)) ?? "#fff").l > 60 ? "#000" : "#fff");
    return Plot.plot({
      ...plot,
      marks: [Plot.cell(cells, { x, y, fill: value, inset: 1 }), Plot.text(cells, { x, y, text: words, fill: ink })],
    });
  }

  // Drawing: what is in view at once, the rest when it comes into view

  const figures = new Map(
    [...document.querySelectorAll("[data-chart]")].map((figure) => [figure.dataset.chart, figure]),
  );
  const stale = new Set(figures.keys());
  const inView = new Set();

  function draw(name) {
    const figure = figures.get(name);
    const place = figure.querySelector(".drawing");
    stale.delete(name);
    const [drawing, note] = CHARTS[name](Math.max(place.clientWidth, 280));
    place.replaceChildren(drawing);
    if (place.scrollWidth > place.clientWidth)
      place.tabIndex = 0; // for the keyboard to scroll by
    else place.removeAttribute("tabindex");
    figure.querySelector(".note").textContent = note;
    place.querySelectorAll("svg").forEach((svg) => {
      svg.querySelectorAll("[aria-label]").forEach((part) => part.removeAttribute("aria-label")); // an image has one name
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", figure.querySelector("figcaption").textContent);
    });
  }

  function redraw(...names) {
    names.forEach((name) => stale.add(name));
    names.filter((name) => inView.has(name)).forEach(draw);
  }

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const name = target.dataset.chart;
        isIntersecting ? inView.add(name) : inView.delete(name);
        if (isIntersecting && stale.has(name)) draw(name);
      }
    },
    { rootMargin: "200px" },
  );
  figures.forEach((figure) => watcher.observe(figure));

  const redrawAll = () => redraw(...figures.keys());
  dark.addEventListener("change", () => {
    COLOURS = dark.matches ? ON_DARK : ON_LIGHT;
    redrawAll();
  });
  let width = document.documentElement.clientWidth;
  let waiting;
  addEventListener("resize", () => {
    if (width === document.documentElement.clientWidth) return;
    width = document.documentElement.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(redrawAll, 150);
  });
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not(.columns)").forEach((one) => {
      one.open = true;
    });
    [...stale].forEach(draw);
  });

  // What people touch

  const chooser = byId("case");
  const chosen = () => Number(chooser.value);
  const first = cases.findIndex(
    (one) => one.median !== undefined && one.source !== undefined && one.ratio !== undefined,
  );
  if (first >= 0) chooser.value = first;
  chooser.addEventListener("change", () => redraw(...CHARTS_OF_ONE));
  body.addEventListener("click", (event) => {
    if (!event.target.closest("th button")) return;
    chooser.value = rows.indexOf(event.target.closest("tr"));
    redraw(...CHARTS_OF_ONE);
    byId("closely").scrollIntoView();
    chooser.focus({ preventScroll: true });
  });
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("[data-sort]");
    if (button) sort(button);
  });
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(filter));
  document.querySelectorAll("[data-column]").forEach((box) =>
    box.addEventListener("change", () => {
      table.classList.toggle(`no-${box.dataset.column}`, !box.checked);
    }),
  );
  byId("whole")?.addEventListener("click", ({ target }) => {
    table.classList.add("whole");
    target.hidden = true;
  });
  byId("open-all")?.addEventListener("click", () =>
    document.querySelectorAll(".network").forEach((one) => {
      one.open = true;
    }),
  );
})();
