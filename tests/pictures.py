"""What can be seen to be wrong with a picture: empty or clipped axes, texts cut off or one over another."""

import itertools

import numpy as np


def faults(axes, shared_labels=False):
    """Sentences, one for each fault of the visible axes of a figure.

    ``shared_labels`` is for panels, of which the inner ones have no names of axes.
    """
    axes = [ax for ax in np.ravel(axes) if ax.get_visible() and ax.axison]
    figure = axes[0].figure
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]
    found = []
    for i, ax in enumerate(axes):
        found += [f"axes {i}: {fault}" for fault in _faults(ax, pixels, figure, shared_labels)]
    texts = [figure._suptitle, *[t for legend in figure.legends for t in legend.get_texts()]]
    found += [f"{t.get_text()!r} is cut off" for t in texts if t is not None and _cut(t, figure)]
    return found


def _faults(ax, pixels, figure, shared_labels):
    box = ax.get_window_extent()
    height = pixels.shape[0]
    inside = pixels[int(height - box.y1) + 3 : int(height - box.y0) - 3, int(box.x0) + 3 : int(box.x1) - 3]
    if inside.size == 0 or (inside < 240).any(axis=2).mean() < 0.001:
        return ["empty"]
    return [*_of_labels(ax, shared_labels), *_of_texts(ax, figure), *_of_legend(ax), *_of_points(ax)]


def _of_labels(ax, shared_labels):
    for axis, name in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        # labels of ticks outside the limits aren't drawn
        shown = [t for t in axis.get_ticklabels() if t.get_text() and t.get_visible() and _within(axis, t)]
        if not shared_labels and not axis.get_label_text() and any(_is_number(t) for t in shown):
            yield f"no name of {name}"
        boxes = [smaller(t.get_window_extent()) for t in shown]
        if any(a.overlaps(b) for a, b in itertools.pairwise(boxes)):
            yield f"labels of {name} overlap"


def _of_texts(ax, figure):
    legend = ax.get_legend()
    names = [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    names += [] if legend is None else legend.get_texts()
    for text in names:
        if text.get_text() and text.get_visible() and _cut(text, figure):
            yield f"{text.get_text()!r} is cut off"
    for a, b in itertools.combinations([t for t in ax.texts if t.get_text()], 2):
        if smaller(a.get_window_extent()).overlaps(smaller(b.get_window_extent())):
            yield f"{a.get_text()!r} is over {b.get_text()!r}"


def _of_legend(ax):
    if ax.get_legend() is None:
        return
    box, title = smaller(ax.get_legend().get_window_extent()), ax._left_title
    if box.overlaps(ax.get_window_extent()):
        yield "the legend is over the data"
    if title.get_text() and box.overlaps(smaller(title.get_window_extent())):
        yield "the legend is over the title"


def _of_points(ax):
    (x0, x1), (y0, y1) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    for line in ax.lines:
        if line.get_transform() != ax.transData or line.get_marker() in ("None", "", None):
            continue
        xy = np.asarray(line.get_xydata(), dtype=float)
        xy = xy[np.isfinite(xy).all(axis=1)]
        out = (xy[:, 0] < x0) | (xy[:, 0] > x1) | (xy[:, 1] < y0) | (xy[:, 1] > y1)
        if out.any():
            yield f"{int(out.sum())} of {len(out)} points of a line lie outside"


def _within(axis, text):
    low, high = sorted(axis.get_view_interval())
    place = text.get_position()[0 if axis.axis_name == "x" else 1]
    return low <= place <= high


def _is_number(text):
    return text.get_text().replace("\N{MINUS SIGN}", "").replace(".", "").isdigit()


def smaller(box):
    """A box without its rim, where nothing is written."""
    return box.padded(-0.15 * box.height)


def _cut(text, figure):
    box, whole = text.get_window_extent(), figure.bbox
    outside = box.x0 < whole.x0 - 1 or box.x1 > whole.x1 + 1
    return outside or box.y0 < whole.y0 - 1 or box.y1 > whole.y1 + 1
