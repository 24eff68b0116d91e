"""Area weights of voxel faces: planes exact, spheres and tilted planes close, symmetric, never all zero."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from simulator.errors import GeometryError
from simulator.geometry import face_weights, free_surface
from simulator.geometry.area import smoothing_reach

CUBE = (1.0, 1.0, 1.0)  # the estimator is scale free; real voxel sizes are checked on Electrode


def ball(radius, centre=(0.0, 0.0, 0.0), margin=10):
    n = int(2 * radius) + 2 * margin
    z, y, x = np.ogrid[:n, :n, :n]
    half = n // 2
    squared = (z - half - centre[0]) ** 2 + (y - half - centre[1]) ** 2 + (x - half - centre[2]) ** 2
    return squared <= radius**2


def blobs(shape, seed=0):
    """Smooth random two-phase structure."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0, mode="wrap")
    return noise > 0


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("am_low", [True, False])
@pytest.mark.parametrize("voxel_size", [CUBE, (1e-6, 0.5e-6, 1.2e-6)])
def test_axis_aligned_plane_has_weight_one(axis, am_low, voxel_size):
    shape = (30, 20, 20)  # bodies thicker than the kernel is wide
    place = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
    am = np.broadcast_to((place < 10) == am_low, shape)
    s = free_surface(am, voxel_size)
    # Lateral planes meet the separator plane in an edge, which the smoothing rounds off over the kernel and the
    # stencil. A plane parallel to the separator has no edge.
    flat = (s.axis == axis) & ((axis == 0) | (s.am // 400 > smoothing_reach(voxel_size)[0]))
    assert flat.sum() >= 100
    assert np.abs(s.weight[flat] - 1).max() <= 1e-12  # tangential differences cancel up to rounding


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (5, 1, 1), (3, 11, 2), (20, 4, 4)])
@pytest.mark.parametrize("voxel_size", [CUBE, (0.2e-6, 3e-6, 1e-6)])
def test_slab_filling_the_electrode_has_weight_one_against_the_separator(shape, voxel_size):
    wz, wy, wx = face_weights(np.ones(shape, bool), voxel_size)
    assert np.abs(wz[0] - 1).max() <= 1e-12
    assert not wz[1:].any() and not wy.any() and not wx.any()


CENTRES = [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.3, 0.1, 0.45), (-0.2, 0.37, 0.05)]


@pytest.mark.parametrize("radius", [8, 12, 20])
def test_sphere_area_is_right_within_the_curvature_error(radius):
    total, true = 0.0, 0.0
    for centre in CENTRES if radius < 20 else CENTRES[:2]:
        am = ball(radius, centre)
        area = free_surface(am, CUBE).weight.sum()
        # The digital ball is slightly larger or smaller than meant; judge it by the ball of its own volume.
        own = 4 * np.pi * (3 * am.sum() / (4 * np.pi)) ** (2 / 3)
        # measured 0.3 % at R = 8, less above; smoothing by sigma = 2 costs about (sigma / R)^2 / 20
        assert area == pytest.approx(own, rel=0.005)
        total, true = total + area, true + 4 * np.pi * radius**2
    # against the nominal radius the scatter of the digital volume comes on top
    assert total == pytest.approx(true, rel=0.015)


def test_sphere_area_error_shrinks_with_resolution():
    error = []
    for radius in (5, 10, 20):
        am = ball(radius, (0.3, 0.1, 0.45))
        own = 4 * np.pi * (3 * am.sum() / (4 * np.pi)) ** (2 / 3)
        error.append(abs(free_surface(am, CUBE).weight.sum() / own - 1))
    assert error[1] < 0.5 * error[0]
    assert error[2] < 0.001  # measured 0.0005; plain face counting stays at 0.5


def test_anisotropic_voxels_give_the_area_of_the_sphere():
    h = (1.0, 0.5, 0.7)
    radius = 7.0
    axes = [(np.arange(int(2 * radius / d) + 24) - int(radius / d) - 12.3) * d for d in h]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    am = z**2 + y**2 + x**2 <= radius**2
    s = free_surface(am, h)
    own = 4 * np.pi * (3 * am.sum() * np.prod(h) / (4 * np.pi)) ** (2 / 3)
    # coarsest direction R = 7 voxels
    assert (s.weight * s.face_area).sum() == pytest.approx(own, rel=0.01)


@pytest.mark.parametrize(
    "normal", [(1, 1, 1), (1, 1, 0), (0, 1, 1), (1, 2, 3), (3, 1, 1), (5, 1, 2), (2, 0, 3), (0, 1, 8)]
)
def test_tilted_plane_has_its_true_area(normal):
    n = np.array(normal) / np.linalg.norm(normal)
    z, y, x = np.ogrid[:44, :44, :44]
    am = n[0] * (z - 22.2) + n[1] * (y - 22.2) + n[2] * (x - 22.2) <= 0
    weights = face_weights(am, CUBE)
    inner = (slice(11, 33),) * 3  # beyond the kernel (8 voxels) and the stencil (2) from the box sides
    # Per unit area of the plane |n_i| faces are normal to axis i, so the weighted sum is sum |n_i| <w_i>.
    ratio = 0.0
    for component, w in zip(np.abs(n), weights, strict=True):
        part = w[inner]
        if component > 0:
            ratio += component * part.sum() / np.count_nonzero(part)
    # measured: 0.1 % and better, 0.8 % at (0, 1, 8), whose steps are longer than the kernel is wide
    assert ratio == pytest.approx(1.0, abs=0.01)


def even_directions(n):
    """Unit vectors spread evenly over a half sphere (spiral of Vogel), none along an axis or a diagonal."""
    i = np.arange(n) + 0.5
    polar, around = np.arccos(1 - i / n), np.pi * (1 + np.sqrt(5)) * i
    return np.stack([np.cos(polar), np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)], axis=1)


@pytest.mark.parametrize("voxel_size", [CUBE, (1.0, 0.5, 0.7), (0.4, 1.0, 1.0)])
def test_planes_at_many_angles_have_their_area_in_voxels_of_any_shape(voxel_size):
    n = 64
    reach = np.array(smoothing_reach(voxel_size))[:, None]
    z, y, x = np.meshgrid(*((np.arange(n) - n / 2 + 0.2) * h for h in voxel_size), indexing="ij", sparse=True)
    for normal in even_directions(12):
        surface = free_surface(normal[0] * z + normal[1] * y + normal[2] * x <= 0, voxel_size)
        at = np.array(np.unravel_index(surface.am, surface.shape))
        inner = np.all((at > reach) & (at < n - reach - 1), axis=0)
        means = [surface.weight[inner & (surface.axis == axis)].mean() for axis in range(3)]
        # measured over 40 directions: 0.0 to 0.7 %, most where a step is longer than the kernel
        assert np.abs(normal) @ means == pytest.approx(1.0, abs=0.01)


def test_mirrors_and_quarter_turns_in_the_plane_keep_every_weight():
    am = blobs((11, 13, 13))
    _, wy, wx = face_weights(am, CUBE)
    wz = face_weights(am, CUBE)[0]
    mz, my, mx = face_weights(am[:, ::-1, :], CUBE)
    # same sums in another order; gradients at blob surfaces are of order 0.1, so rounding stays near 1e-15
    assert np.abs(mz[:, ::-1, :] - wz).max() <= 1e-12
    assert np.abs(my[:, ::-1, :] - wy).max() <= 1e-12
    assert np.abs(mx[:, ::-1, :] - wx).max() <= 1e-12
    rz, ry, rx = face_weights(np.swapaxes(am, 1, 2), CUBE)
    assert np.abs(np.swapaxes(rz, 1, 2) - wz).max() <= 1e-12
    assert np.abs(np.swapaxes(rx, 1, 2) - wy).max() <= 1e-12
    assert np.abs(np.swapaxes(ry, 1, 2) - wx).max() <= 1e-12


def test_all_axis_permutations_and_mirrors_keep_the_area_of_a_body():
    am = np.zeros((40, 40, 40), bool)
    am[13:27, 13:27, 13:27] = blobs((14, 14, 14), seed=5)
    # 13 voxels from every side, beyond kernel and stencil, so that no axis is special
    expected = free_surface(am, CUBE).weight.sum()
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            turned = np.transpose(am, order)[:: flips[0], :: flips[1], :: flips[2]]
            # rounding in the order of smoothing and summing
            assert free_surface(turned, CUBE).weight.sum() == pytest.approx(expected, rel=1e-12)


def test_weights_do_not_depend_on_the_voxel_scale():
    am = blobs((7, 9, 11))
    for a, b in zip(face_weights(am, CUBE), face_weights(am, (4e-7, 4e-7, 4e-7)), strict=True):
        assert np.abs(a - b).max() <= 1e-12


def test_lateral_sides_and_collector_act_as_mirrors():
    am = blobs((9, 8, 7), seed=2)
    whole = np.concatenate([am, am[::-1]], axis=0)
    whole = np.concatenate([whole, whole[:, ::-1]], axis=1)
    whole = np.concatenate([whole, whole[:, :, ::-1]], axis=2)
    # The last layer sees 1 (stencil) + 8 (kernel) layers further, less than the 9 mirrored ones.
    for half, full in zip(face_weights(am, CUBE), face_weights(whole, CUBE), strict=True):
        part = full[tuple(slice(0, n) for n in half.shape)]
        assert np.abs(part - half).max() <= 1e-12  # sums in another order


@pytest.mark.parametrize(
    "name", ["random", "checkerboard", "stripes", "single voxels", "needles", "thin gap", "all but one"]
)
def test_weights_are_finite_between_zero_and_one_and_no_free_voxel_is_left_without_area(name):
    z, y, x = np.indices((9, 10, 11))
    am = {
        "random": np.random.default_rng(4).random(z.shape) < 0.5,
        "checkerboard": (z + y + x) % 2 == 0,
        "stripes": x % 2 == 0,
        "single voxels": (z % 3 == 1) & (y % 3 == 1) & (x % 3 == 1),
        "needles": (y % 2 == 0) & (x % 2 == 0),
        "thin gap": x != 5,
        "all but one": ~((z == 4) & (y == 5) & (x == 5)),
    }[name]
    s = free_surface(am, CUBE)
    assert s.weight.size > 0
    assert np.isfinite(s.weight).all()
    assert s.weight.min() >= 0.0
    assert s.weight.max() <= 1.0 + 1e-15
    total = np.bincount(s.am, weights=s.weight, minlength=am.size)
    assert total[np.unique(s.am)].min() >= 1e-3  # the floor of the repair


def test_fallback_weights_follow_the_number_of_open_axes():
    z, y, x = np.indices((26, 26, 26))
    patterns = {3: (z + y + x) % 2 == 0, 2: (y + x) % 2 == 0, 1: x % 2 == 0}
    for open_axes, am in patterns.items():
        s = free_surface(am, CUBE)
        place = np.array(np.unravel_index(s.am, s.shape))
        # further than kernel (8 voxels) and stencil (2) from every side, where the mirror breaks the pattern
        inner = ((place > 10) & (place < 15)).all(axis=0)
        assert inner.any()
        assert s.weight[inner] == pytest.approx(open_axes**-0.5, rel=1e-14)


def test_faces_are_exactly_the_am_non_am_pairs_and_the_separator_contacts():
    am = np.random.default_rng(7).random((3, 5, 7)) < 0.5
    expected: list[tuple[int, int, int, bool]] = []
    for index in np.ndindex(am.shape):
        for axis in range(3):
            before = list(index)
            before[axis] -= 1
            if axis == 0 and index[0] == 0 and am[index]:
                expected.append((0, int(np.ravel_multi_index(index, am.shape)), -1, False))
            if before[axis] < 0 or am[tuple(before)] == am[index]:
                continue
            here = int(np.ravel_multi_index(index, am.shape))
            there = int(np.ravel_multi_index(before, am.shape))
            expected.append((axis, here, there, False) if am[index] else (axis, there, here, True))
    s = free_surface(am, CUBE)
    got = list(zip(s.axis, s.am, s.other, s.am_first, strict=True))
    assert sorted(got) == sorted(expected)
    after = np.where(s.am_first, s.other, s.am)
    order = list(zip(s.axis, after, strict=True))
    assert order == sorted(order)
    wz, wy, wx = face_weights(am, CUBE)
    assert (wz.shape, wy.shape, wx.shape) == ((3, 5, 7), (3, 4, 7), (3, 5, 6))
    assert sum(np.count_nonzero(w) for w in (wz, wy, wx)) == len(expected)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(GeometryError, match="positive number of voxels"):
        free_surface(np.ones((2, 2, 2), bool), CUBE, sigma)


def test_mask_must_be_three_dimensional():
    with pytest.raises(GeometryError, match="three non-empty axes"):
        free_surface(np.ones((2, 2), bool), CUBE)
