// Pan, zoom, search and choose. All texts come from the block of data and are set as text.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const svg = document.querySelector("#picture svg");
  const story = byId("story");

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  // Findings that are closed are opened where a link leads to them, and all of them on paper.
  const openTarget = () => {
    const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
    const holder = target && target.closest("details");
    if (holder) holder.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", openTarget);
  openTarget();
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details.finding").forEach((one) => { one.open = true; });
  });

  // Copying, also where no clipboard is given to pages of the disk.
  document.querySelectorAll("button.copy").forEach((button) => {
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("pre");
      try {
        await navigator.clipboard.writeText(text.textContent);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(text);
        const selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        document.execCommand("copy");
      }
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
  });

  // Rows of the table of paths that hold all words.
  const rows = Array.from(document.querySelectorAll("#paths tbody tr"), (row) => {
    return [row, row.textContent.toLowerCase()];
  });
  const filter = byId("filter");
  if (filter) {
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const broken = byId("only-broken").checked;
      let shown = 0;
      for (const [row, text] of rows) {
        const fits = words.every((word) => text.includes(word));
        row.hidden = !fits || (broken && row.dataset.state !== "broken");
        shown += row.hidden ? 0 : 1;
      }
      byId("shown").textContent = `${shown} of ${rows.length}`;
    };
    filter.addEventListener("input", apply);
    byId("only-broken").addEventListener("change", apply);
    apply();
  }

  if (!svg) return;
  const whole = svg.getAttribute("viewBox").split(" ").map(Number);
  let view = whole.slice();
  const show = () => svg.setAttribute("viewBox", view.join(" "));
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  svg.setAttribute("preserveAspectRatio", "xMidYMin meet");
  const zoom = (factor, x = view[0] + view[2] / 2, y = view[1] + view[3] / 2) => {
    const width = Math.min(Math.max(view[2] * factor, 80), whole[2] * 4);
    const by = width / view[2];
    view = [x - (x - view[0]) * by, y - (y - view[1]) * by, width, view[3] * by];
    show();
  };
  const move = (x, y) => { view[0] += x; view[1] += y; show(); };
  const scale = () => Math.max(view[2] / (svg.clientWidth || 1), view[3] / (svg.clientHeight || 1));
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, ...at(event));
  }, { passive: false });
  // One finger or the mouse moves, two fingers zoom.
  const fingers = new Map();
  let moved = 0;
  svg.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
  });
  svg.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    if (fingers.size === 1) {
      moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      if (moved > 4 && !svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
      move((before[0] - now[0]) * scale(), (before[1] - now[1]) * scale());
    } else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const far = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
      moved += 5;
      if (far(now) > 0) zoom(far(before) / far(now));
    }
    fingers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    svg.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  byId("in").addEventListener("click", () => zoom(0.7));
  byId("out").addEventListener("click", () => zoom(1 / 0.7));
  byId("all").addEventListener("click", () => { view = whole.slice(); show(); });

  const groups = new Map();
  svg.querySelectorAll("g[data-at]").forEach((group) => {
    const thing = data.things[group.dataset.at];
    if (!thing) return;
    groups.set(group.dataset.at, group);
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
    // What is read out begins with what is seen, which may be cut off.
    const seen = Array.from(group.querySelectorAll(":scope > text"), (text) => text.textContent).join(" ");
    group.setAttribute("aria-label", seen.includes(thing.title) ? seen : `${seen} ${thing.title}`.trim());
  });
  // It holds buttons now, and is no longer one image.
  svg.setAttribute("role", "group");

  // What is known of a thing, the member that was asked for first.
  const tell = (key, asked) => {
    const thing = data.things[key];
    svg.querySelectorAll(".chosen").forEach((one) => one.classList.remove("chosen"));
    groups.get(key).classList.add("chosen");
    story.replaceChildren(element("h3", thing.title));
    if (thing.facts.length) story.append(element("p", thing.facts.join(" · ")));
    for (const number of thing.findings) {
      const finding = data.findings[number];
      const line = element("p");
      line.append(element("span", finding.sign, `sign ${finding.severity}`), " ");
      const link = element("a", finding.code);
      link.href = `#f${number}`;
      line.append(link, ` ${finding.text}`);
      story.append(line);
    }
    // The paths that begin at it or lead over it.
    const name = asked === undefined ? thing.members[0]?.name : thing.members[asked].name;
    if (name && filter && rows.some(([, text]) => text.includes(name.toLowerCase()))) {
      const paths = element("button", `paths of ${name}`);
      paths.addEventListener("click", () => {
        filter.value = name;
        filter.dispatchEvent(new Event("input"));
        byId("paths").scrollIntoView();
        filter.focus();
      });
      story.append(paths);
    }
    const member = (one) => {
      const box = element("div");
      box.append(element("strong", one.name));
      if (one.facts.length) box.append(element("div", one.facts.join(" · "), "faint"));
      for (const [place, quote] of one.seen) {
        box.append(element("div", place, "place"), element("pre", quote));
      }
      return box;
    };
    const first = asked === undefined ? [] : [thing.members[asked]];
    const others = thing.members.filter((_, n) => n !== asked);
    const near = first.concat(others.slice(0, 12 - first.length));
    near.forEach((one) => story.append(member(one)));
    const rest = others.slice(12 - first.length);
    if (rest.length) {
      const more = element("button", `expand ${rest.length} more`);
      more.addEventListener("click", () => {
        more.replaceWith(...rest.map(member));
      });
      story.append(more);
    }
    if (thing.left) story.append(element("p", `and ${thing.left} more, which the report leaves out`));
    story.scrollTop = 0;
  };
  const keyOf = (target) => {
    const group = target.closest && target.closest("g[data-at][tabindex]");
    return group ? group.dataset.at : undefined;
  };
  svg.addEventListener("click", (event) => {
    const key = keyOf(event.target);
    if (key !== undefined && moved < 5) tell(key);
  });
  svg.addEventListener("keydown", (event) => {
    const key = keyOf(event.target);
    if (key !== undefined && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      tell(key);
      story.focus();
    }
  });
  byId("picture").addEventListener("keydown", (event) => {
    const step = view[2] / 12;
    const keys = {
      ArrowLeft: () => move(-step, 0), ArrowRight: () => move(step, 0),
      ArrowUp: () => move(0, -step), ArrowDown: () => move(0, step),
      "+": () => zoom(0.8), "-": () => zoom(1.25), 0: () => { view = whole.slice(); show(); },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });

  // Every thing by its name and addresses, those inside folds too.
  const known = [];
  for (const [key, thing] of Object.entries(data.things)) {
    thing.members.forEach((one, n) => {
      known.push([[one.name, ...one.facts].join(" ").toLowerCase(), key, n, one.name]);
    });
  }
  const bring = (key) => {
    const box = groups.get(key).getBBox();
    const width = Math.min(whole[2], Math.max(box.width * 4, 700));
    const height = width * view[3] / view[2];
    view = [box.x + box.width / 2 - width / 2, box.y + box.height / 2 - height / 2, width, height];
    show();
  };
  const search = byId("search");
  const hits = byId("hits");
  search.addEventListener("input", () => {
    const word = search.value.trim().toLowerCase();
    hits.replaceChildren();
    if (!word) return;
    let count = 0;
    for (const [text, key, n, name] of known) {
      if (!text.includes(word) || !groups.has(key)) continue;
      count += 1;
      if (count > 20) continue;
      const hit = element("button", name);
      hit.addEventListener("click", () => { bring(key); tell(key, n); });
      hits.append(hit);
    }
    if (count > 20) hits.append(element("span", `and ${count - 20} more`));
    if (!count) hits.append(element("span", "nothing is called so"));
  });
  search.addEventListener("keydown", (event) => {
    const first = hits.querySelector("button");
    if (event.key === "Enter" && first) { first.click(); story.focus(); }
  });
})();
