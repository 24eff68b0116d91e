"""Can this machine draw 3D pictures? VTK without an OpenGL library ends the process instead of raising."""

import subprocess
import sys
from functools import cache

#: Debian and Ubuntu packages that give VTK a software OpenGL, enough on a machine without display or GPU.
GL_PACKAGES = "libegl1 libgl1-mesa-dri"
_TIMEOUT = 120.0  # [s] first start on a cold network file system
_PROBE = """
import pyvista
plotter = pyvista.Plotter(off_screen=True, window_size=(32, 32))
plotter.add_mesh(pyvista.Cube(), color="red")
image = plotter.screenshot(None, return_img=True)
assert image.min() != image.max(), "the picture is empty"
print(type(plotter.render_window).__name__)
"""


@cache
def can_render() -> tuple[bool, str]:
    """Whether PyVista can render off-screen here, and how or why not.

    A small scene is drawn in a subprocess, because a missing OpenGL library ends VTK with a segmentation
    fault. The answer is kept for the life of this process.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"The test rendering did not run ({error})."
    if done.returncode == 0:
        return True, f"off-screen OpenGL works ({done.stdout.strip()})"
    if "ModuleNotFoundError" in done.stderr:
        return False, f"{done.stderr.strip().splitlines()[-1]}: install PyVista."
    return False, (
        f"VTK cannot render here: no usable OpenGL (the test rendering ended with code {done.returncode}). "
        f"On Debian or Ubuntu: apt-get install {GL_PACKAGES}"
    )
