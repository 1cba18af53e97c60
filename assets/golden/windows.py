"""Windows: their placement over an image, and their taps."""

import itertools

import torch.nn.functional as F

VALID, SAME, SAME_LOWER = "valid", "same", "same_lower"


def same(size, window, stride, dilation, lower=False):
    """Sides of `same` padding: out = ceil(in / stride), with the odd row at the end, or at the beginning."""
    sides = []
    for n, w, s, d in zip(size, window, stride, dilation):
        total = max((-(-n // s) - 1) * s + d * (w - 1) + 1 - n, 0)
        half = total // 2
        sides += [total - half, half] if lower else [half, total - half]
    return sides


def window(size, stride=(1, 1), dilation=(1, 1), padding=VALID, ceil=False, over=None):
    """Options of a case. `padding` is a name, or [top, bottom, left, right]; `same` depends on the image size `over`."""
    if padding == VALID:
        name, sides = VALID, [0, 0, 0, 0]
    elif padding in (SAME, SAME_LOWER):
        name, sides = padding, same(over, size, stride, dilation, lower=padding == SAME_LOWER)
    else:
        name, sides = "explicit", list(padding)
    options = {"size": size, "stride": stride, "dilation": dilation, "padding": name, "sides": sides}
    return {**options, "ceil_mode": True} if ceil else options


def every_window(sizes, strides, dilations, paddings, over):
    for size, stride, dilation, padding in itertools.product(sizes, strides, dilations, paddings):
        yield window(size, stride, dilation, padding, over=over)


def padded(x, sides, value=0.0):
    top, bottom, left, right = sides
    return F.pad(x, (left, right, top, bottom), value=value)


def is_native(options, most=None):
    """Whether PyTorch supports this padding: equal on both sides, and in pooling at most half a window."""
    top, bottom, left, right = options["sides"]
    fits = most is None or (2 * top <= most[0] and 2 * left <= most[1])
    return top == bottom and left == right and fits


def place(options, over):
    """Outputs along each axis, and the overhang of the last window over the padding in ceil mode; None if none fit.

    A last window that would start in the padding at the end is dropped.
    """
    out, overhang = [], []
    for axis in range(2):
        n, size, stride, dilation = over[axis], *(options[key][axis] for key in ("size", "stride", "dilation"))
        begin, end = options["sides"][2 * axis : 2 * axis + 2]
        reach = dilation * (size - 1) + 1
        steps = n + begin + end - reach
        if options.get("ceil_mode"):
            count = -(-steps // stride) + 1
            count -= (count - 1) * stride >= n + begin
        else:
            count = steps // stride + 1
        if count < 1:
            return None
        out.append(count)
        overhang.append(max((count - 1) * stride + reach - (n + begin + end), 0))
    return out, overhang


def under(x, options, value=0.0, over=None):
    """The taps of each window of `x` [N, C, H, W] as [N, C, R·S, P, Q], with `value` in the padding."""
    n, c, *size = x.shape
    (p, q), (down, right) = place(options, over or size)
    top, bottom, left, end = options["sides"] if over is None else (0, 0, 0, 0)
    x = padded(x, (top, bottom + down, left, end + right), value)
    r, s = options["size"]
    taps = F.unfold(x, options["size"], dilation=options["dilation"], stride=options["stride"])
    rows = (x.shape[2] - options["dilation"][0] * (r - 1) - 1) // options["stride"][0] + 1
    return taps.reshape(n, c, r * s, rows, -1)[..., :p, :q]
