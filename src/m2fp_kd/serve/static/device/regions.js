/** Places of parts and connected regions, from runs of equal values along rows, as `m2fp_kd.runtime.regions`. */

/** Area and smallest box [left, top, right, bottom] of every part in a part map, background included. */
export function placesOf(map, [height, width]) {
  const places = new Map();
  for (const run of runsOf(map, height, width)) {
    if (!places.has(run.value)) places.set(run.value, new Place());
    places.get(run.value).add(run);
  }
  return [...places].sort(([one], [other]) => one - other).map(([index, place]) => ({ index, ...place }));
}

/** The 4-connected regions of all parts together that have at least `smallest` pixels, largest first. */
export function connectedRegions(map, [height, width], smallest) {
  const runs = [];
  const parents = [];
  const root = (run) => {
    while (parents[run] !== run) run = parents[run] = parents[parents[run]];
    return run;
  };
  let above = 0; // the first run of the row above that may touch the next run
  for (const run of inside(runsOf(map, height, width))) {
    const number = runs.push(run) - 1;
    parents.push(number);
    while (runs[above].row < run.row - 1 || (runs[above].row < run.row && runs[above].end <= run.start)) above++;
    for (let other = above; runs[other].row < run.row && runs[other].start < run.end; other++) {
      const [one, two] = [root(number), root(other)];
      parents[Math.max(one, two)] = Math.min(one, two);
    }
  }
  const regions = new Map();
  runs.forEach((run, number) => {
    const first = root(number);
    if (!regions.has(first)) regions.set(first, Object.assign(new Place(), { score: null, runs: [] }));
    const region = regions.get(first);
    region.add(run);
    region.runs.push(run);
  });
  return [...regions.values()].filter(({ area }) => area >= smallest).sort((a, b) => b.area - a.area);
}

class Place {
  constructor() {
    Object.assign(this, { area: 0, box: [Infinity, Infinity, 0, 0] });
  }

  add({ row, start, end }) {
    const [left, top, right, bottom] = this.box;
    this.area += end - start;
    this.box = [Math.min(left, start), Math.min(top, row), Math.max(right, end), Math.max(bottom, row + 1)];
  }
}

function* runsOf(map, height, width) {
  for (let row = 0; row < height; row++) {
    const line = map.subarray(row * width, (row + 1) * width);
    for (let start = 0, end; start < width; start = end) {
      for (end = start + 1; end < width && line[end] === line[start]; end++);
      yield { value: line[start], row, start, end };
    }
  }
}

/** The runs of a part; neighbouring ones of different parts as one. */
function* inside(runs) {
  let joined = null;
  for (const { value, row, start, end } of runs) {
    if (joined && value && joined.row === row && joined.end === start) joined.end = end;
    else {
      if (joined) yield joined;
      joined = value ? { row, start, end } : null;
    }
  }
  if (joined) yield joined;
}

/** The mask of a region in a photo, 0 and 1, row by row. */
export function maskOf({ runs }, [height, width]) {
  const mask = new Uint8Array(height * width);
  for (const { row, start, end } of runs) mask.fill(1, row * width + start, row * width + end);
  return mask;
}
