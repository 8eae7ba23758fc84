"""Trace masks as polygons with holes along the edges of pixels, and simplify them to one pixel.

Points are (x, y) in pixels: a pixel in row r and column c is the square from (c, r) to (c + 1, r + 1). Regions are
4-connected. Rings are simple: a ring that would touch itself at a corner is split there into an exterior and a hole.
"""

from collections.abc import Iterator

import numpy as np

from m2fp_kd.runtime.crossings import cross_themselves
from m2fp_kd.runtime.regions import region_at

TOLERANCES = (1.0, 0.5)
"""Pixels by which a simplified ring may leave the edges of the pixels, largest first; see `simplified`."""

PAIRS_AT_ONCE = 1 << 18
"""Pairs of corners whose distances are in memory at a time."""

Polygon = list[np.ndarray]
"""Rings of one region, int (N, 2) each, not closed: the exterior, clockwise as seen, then the holes, the other way."""


def polygons(mask: np.ndarray, at: tuple[int, int] = (0, 0)) -> list[Polygon]:
    """Return the simplified polygons of a mask; no hole and no pixel that stands alone is lost.

    Args:
        mask: bool (h, w).
        at: row and column of the mask's first pixel in the photo.

    Returns:
        One polygon for each region, in reading order.
    """
    offset = np.array([at[1], at[0]])
    return [[ring + offset for ring in simplified(one)] for one in traced(mask)]


def traced(mask: np.ndarray) -> list[Polygon]:
    """Return the exact polygons of a mask, bool (h, w): the corners of its border."""
    rings = [part for ring in _rings(mask) for part in _simple(ring)]
    exteriors = [ring for ring in rings if _area(ring) > 0]
    holes = [ring for ring in rings if _area(ring) < 0]
    if len(exteriors) == 1:
        return [[exteriors[0], *holes]]
    if not holes:
        return [[ring] for ring in exteriors]
    regions = region_at(mask, np.array([_pixel_beside(ring) for ring in exteriors + holes]).reshape(-1, 2)).tolist()
    found = {region: [ring] for region, ring in zip(regions, exteriors, strict=False)}
    for region, ring in zip(regions[len(exteriors) :], holes, strict=True):
        found[region].append(ring)
    return list(found.values())


def simplified(polygon: Polygon) -> Polygon:
    """Leave out corners of a polygon, so that no point of its border moves by more than a pixel.

    Where rings would cross or vanish, the smaller tolerance is used, and where that does not help the exact polygon.
    """
    for tolerance in TOLERANCES:
        rings = [_douglas_peucker(ring, tolerance) for ring in polygon]
        if all(len(ring) > 2 for ring in rings) and not cross_themselves(rings):
            return rings
    return polygon


def keyholes(polygon: Polygon) -> np.ndarray:
    """Return a polygon as one ring, int (N, 2), that reaches each hole and comes back along a line of no width.

    For formats without holes, such as COCO.
    """
    ring = polygon[0]
    for hole in polygon[1:]:
        here, there = _nearest(ring, hole)
        around = np.roll(hole, -there, axis=0)
        ring = np.concatenate([ring[: here + 1], around, around[:1], ring[here:]])
    return ring


def _nearest(ring: np.ndarray, hole: np.ndarray) -> tuple[int, int]:
    """Return the corners of two rings that are nearest to each other, the first of equally near ones."""
    at_once = max(1, PAIRS_AT_ONCE // len(hole))
    found = []
    for start in range(0, len(ring), at_once):
        apart = np.abs(ring[start : start + at_once, None] - hole).sum(axis=2)
        here, there = divmod(int(apart.argmin()), len(hole))
        found.append((int(apart[here, there]), start + here, there))
    return min(found)[1:]


def _rings(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the corners of each closed border of a mask, int (N, 2), the mask to the right of the way along them.

    Corners in reading order are the ends of horizontal edges, pair by pair, and in order of columns those of vertical
    edges. Two corners lie where two pixels touch diagonally: each belongs to one of them.
    """
    padded = np.pad(mask, 1)
    above, below = padded[:-1], padded[1:]
    left_top, right_top, left_bottom, right_bottom = above[:, :-1], above[:, 1:], below[:, :-1], below[:, 1:]
    diagonal = (left_top == right_bottom) & (right_top == left_bottom) & (left_top != right_top)
    corner = np.flatnonzero((left_top ^ right_top ^ left_bottom ^ right_bottom) | diagonal)
    double = diagonal.ravel()[corner]
    y, x = np.divmod(np.repeat(corner, 1 + double), mask.shape[1] + 1)
    if not len(x):
        return
    second = np.zeros(len(x), bool)  # of two corners at one place
    second[1:] = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    # The edge to the left belongs to the first of two corners. It turns down where the mask is below it, otherwise up.
    later = second ^ padded[y + 1, x]
    by_column = np.lexsort((later, y, x))
    vertical = np.empty_like(by_column)
    vertical[by_column] = by_column.reshape(-1, 2)[:, ::-1].ravel()
    horizontal = np.arange(len(x)) ^ 1
    left = np.arange(0, len(x), 2)
    mask_below = padded[y[left] + 1, x[left] + 1]
    ahead, starts = vertical[horizontal].tolist(), np.where(mask_below, left, left + 1).tolist()
    seen = bytearray(len(x))
    for start in starts:
        if seen[start]:
            continue
        ring, at = [], start
        while not seen[at]:
            seen[at] = 1
            ring.append(at)
            at = ahead[at]
        corners = np.repeat(ring, 2)
        corners[1::2] ^= 1
        yield np.stack([x[corners], y[corners]], axis=1)


def _simple(ring: np.ndarray) -> Iterator[np.ndarray]:
    """Split a ring where it comes back to a corner; yield rings that come back to none."""
    names = (ring[:, 0] << 32 | ring[:, 1]).tolist()
    if len(set(names)) == len(names):
        yield ring
        return
    way: list[int] = []
    place: dict[int, int] = {}
    for number, name in enumerate(names):
        if name in place:
            start = place[name]
            yield ring[way[start:]]
            for gone in way[start:]:
                place.pop(names[gone], None)
            del way[start:]
        place[name] = len(way)
        way.append(number)
    yield ring[way]


def _area(ring: np.ndarray) -> int:
    """Return twice the signed area of a ring; positive for an exterior."""
    x, y = ring[:, 0], ring[:, 1]
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def _pixel_beside(ring: np.ndarray) -> tuple[int, int]:
    """Return row and column of a pixel of the mask at a horizontal edge of a ring."""
    ahead = np.roll(ring, -1, axis=0)
    edge = int(np.flatnonzero(ring[:, 1] == ahead[:, 1])[0])
    (x, y), to_right = ring[edge].tolist(), bool(ahead[edge, 0] > ring[edge, 0])
    return (y, x) if to_right else (y - 1, x - 1)


def _douglas_peucker(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Leave out corners of a ring that lie within a tolerance of the line between corners that stay.

    Ramer 1972, Douglas and Peucker 1973. Both halves between the first corner and the farthest from it are simplified.
    """
    if len(ring) <= 4:
        return ring
    closed = np.concatenate([ring, ring[:1]]).astype(np.float64)
    keep = np.zeros(len(closed), bool)
    far = int(((ring - ring[0]) ** 2).sum(axis=1).argmax())
    keep[[0, far]] = True
    waiting = [(0, far), (far, len(ring))]
    while waiting:
        start, end = waiting.pop()
        if end - start < 2:
            continue
        distance = _from_line(closed[start + 1 : end], closed[start], closed[end])
        farthest = int(distance.argmax())
        if distance[farthest] > tolerance:
            middle = start + 1 + farthest
            keep[middle] = True
            waiting += [(start, middle), (middle, end)]
    return ring[keep[:-1]]


def _from_line(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distances (N,) of points (N, 2) from the line between two points."""
    along, relative = end - start, points - start
    length = float(along @ along)
    share = np.clip((relative @ along) / length, 0, 1) if length else np.zeros(len(points))
    away = relative - share[:, None] * along
    return np.hypot(away[:, 0], away[:, 1])
