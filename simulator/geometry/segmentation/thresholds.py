"""Classes from the histogram: thresholds, and a mixture of normal distributions that tells how far classes overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.errors import GeometryError

_BINS = 256
_CORE_SHARE = 0.02  # of a class, needed to measure its spread
_EM_STEPS = 300
_EM_TOLERANCE = 1e-7  # change of the mean log-likelihood at which the fit ends


def multi_otsu(image: NDArray[np.float32], classes: int) -> NDArray[np.float64]:
    """The `classes` - 1 thresholds in [0, 1] with the largest variance between the classes.

    Where the histogram is empty between two classes every threshold is as good: it is put halfway.

    **Errors:** `GeometryError` if the image holds fewer different values than classes.

    **Source:** N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62, doi:10.1109/TSMC.1979.4310076; P.-S. Liao,
    T.-S. Chen, P.-C. Chung, J. Inf. Sci. Eng. 17 (2001) 713.
    """
    from skimage.filters import threshold_multiotsu

    counts, edges = np.histogram(image, _BINS, (0.0, 1.0))
    centres = 0.5 * (edges[1:] + edges[:-1])
    try:
        found = threshold_multiotsu(hist=(counts, centres), classes=classes)
    except ValueError as error:
        raise GeometryError(
            f"The image holds fewer grey values than {classes} classes need ({error}). Ask for fewer classes."
        ) from error
    last = np.searchsorted(centres, found)  # bins; it counts the whole bin to the darker class
    filled = np.flatnonzero(counts)
    after = filled[np.minimum(np.searchsorted(filled, last + 1), filled.size - 1)]
    return 0.5 * (edges[last + 1] + edges[np.maximum(after, last + 1)])


def classified(image: NDArray[np.float32], thresholds: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Class 0, 1, ... of every voxel: the number of thresholds that its value exceeds."""
    labels = np.zeros(image.shape, np.uint8)
    for threshold in thresholds:
        labels += image > threshold
    return labels


def inner_spread(image: NDArray[np.float32], labels: NDArray[np.uint8], classes: int) -> NDArray[np.float64]:
    """Standard deviation of the grey values of each class away from its boundaries, where nothing is blurred.

    Counted are voxels whose face neighbours are of the same class; all voxels of a class that hardly has such (films).
    """
    cross = ndimage.generate_binary_structure(labels.ndim, 1)
    inner = ndimage.minimum_filter(labels, footprint=cross, mode="nearest")
    inner = inner == ndimage.maximum_filter(labels, footprint=cross, mode="nearest")
    spread = np.zeros(classes)
    for c in range(classes):
        own = labels == c
        core = own & inner
        enough = np.count_nonzero(core) > _CORE_SHARE * np.count_nonzero(own)
        values = image[core if enough else own]
        spread[c] = values.std(dtype=np.float64) if values.size else 0.0
    return np.maximum(spread, 1.0 / _BINS)


class Mixture(NamedTuple):
    """Normal distributions whose sum is the histogram; in order of their start, dark to bright."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]  # standard deviations
    weight: NDArray[np.float64]  # sum to 1

    def probability(self) -> NDArray[np.float64]:
        """(classes, 256) probability of each class at the grey values of the bins of [0, 1]."""
        centres = (np.arange(_BINS) + 0.5) / _BINS
        log = _log_density(self, centres)
        density = np.exp(log - log.max(axis=0))
        return density / density.sum(axis=0)

    def confidence(self, image: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of the class that each voxel was given."""
        table = self.probability().astype(np.float32)
        found = np.empty(image.shape, np.float32)
        for layer, label, out in zip(image, labels, found, strict=True):
            out[...] = table[label, np.minimum((layer * _BINS).astype(np.int64), _BINS - 1)]
        return found


def _log_density(mixture: Mixture, x: NDArray[np.float64]) -> NDArray[np.float64]:
    mean, spread, weight = (v[:, None] for v in mixture)
    return np.log(weight) - np.log(spread) - 0.5 * ((x - mean) / spread) ** 2


def fit_mixture(image: NDArray[np.float32], labels: NDArray[np.uint8], classes: int) -> Mixture:
    """Mixture of `classes` normal distributions with the histogram of `image`, begun at the classes of `labels`.

    The spread inside thresholded classes says nothing about their overlap, since the thresholds cut the tails off; that
    of the mixture does. Ends of the scale hold the clipped values and are left out.

    **Source:** A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat. Soc. B 39 (1977) 1 (expectation maximisation).
    """
    each = [np.histogram(image[labels == c], _BINS, (0.0, 1.0))[0].astype(np.float64) for c in range(classes)]
    counts, x = np.array(each), (np.arange(_BINS) + 0.5) / _BINS
    counts[:, [0, -1]] = 0.0
    counts += 1e-6  # an empty class stays defined
    share = counts / counts.sum(axis=0)
    total = counts.sum(axis=0) / counts.sum()
    before = -np.inf
    mixture = _moments(share, total, x)
    for _ in range(_EM_STEPS):
        log = _log_density(mixture, x)
        top = log.max(axis=0)
        density = np.exp(log - top)
        whole = density.sum(axis=0)
        likelihood = float(np.sum(total * (np.log(whole) + top)))
        if likelihood - before < _EM_TOLERANCE:
            break
        before = likelihood
        mixture = _moments(density / whole, total, x)
    return mixture


def _moments(share: NDArray[np.float64], total: NDArray[np.float64], x: NDArray[np.float64]) -> Mixture:
    """Mean, spread and weight of each class that owns `share` (classes, bins) of the histogram."""
    weight = np.maximum((share * total).sum(axis=1), 1e-12)
    mean = (share * total * x).sum(axis=1) / weight
    variance = (share * total * (x - mean[:, None]) ** 2).sum(axis=1) / weight
    # a bin is the finest that the histogram tells apart
    return Mixture(mean, np.sqrt(np.maximum(variance, 1.0 / _BINS**2)), weight / weight.sum())
